"""Bytes that are no longer where they were found are looked for again."""

from __future__ import annotations

import io
from typing import Any

import pytest

from shared.core.errors import FileRejected, Problem, TryAgain
from shared.gcp.storage import Gone
from shared.ledger.uploads import _Checked
from tests.support.imports import make_import


class Vanished:
    """A stream of an object that is gone, some bytes of which have been read."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, count: int) -> bytes:
        raise Gone("no such generation")


class Blob:
    """An object that is where it was found."""

    name = "processed/customers_20230501T115500Z.csv"

    def open(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(b"0123456789")


def read(find: Any, *, size: int = 5) -> bytes:
    stream: Any = Vanished(size)
    import_ = make_import("customers_20230501T115500Z", size=10)
    data = _Checked(stream, import_, find=find).read(5)
    assert data is not None
    return data


def test_an_object_that_was_moved_before_it_was_read() -> None:
    """A file of which nothing has been read is read where it lies now."""
    assert read(Blob, size=0) == b"01234"


def test_an_object_that_was_replaced_while_it_was_read() -> None:
    """A file that was put away or rewritten meanwhile is read in the next attempt."""
    with pytest.raises(TryAgain, match="was moved while it was being read"):
        read(Blob)


@pytest.mark.parametrize("size", [0, 5])
def test_an_object_that_was_removed(size: int) -> None:
    """A file that is nowhere any more is rejected."""

    def nowhere() -> None:
        raise FileRejected(Problem(code="file.gone", message="It is no longer in the bucket."))

    with pytest.raises(FileRejected):
        read(nowhere, size=size)
