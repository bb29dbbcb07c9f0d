"""Bytes that are no longer where they were found are looked for again."""

from __future__ import annotations

from typing import Any

import pytest

from shared.core.errors import FileRejected, Problem, TryAgain
from shared.gcp.storage import Gone
from shared.ledger.uploads import _Checked
from tests.support.imports import make_import


class Vanished:
    """A stream of an object that was there when it was opened."""

    size = 0

    def read(self, count: int) -> bytes:
        raise Gone("no such generation")


def read(find_again: Any) -> None:
    stream: Any = Vanished()
    import_ = make_import("customers_20230501T115500Z", size=10)
    _Checked(stream, import_, find_again=find_again).read(5)


def test_an_object_that_was_replaced_while_it_was_read() -> None:
    """A file that was put away or rewritten meanwhile is read in the next attempt."""
    with pytest.raises(TryAgain, match="was moved while it was being read"):
        read(lambda: None)


def test_an_object_that_was_removed_while_it_was_read() -> None:
    """A file that is nowhere any more is rejected."""

    def nowhere() -> None:
        raise FileRejected(Problem(code="file.gone", message="It is no longer in the bucket."))

    with pytest.raises(FileRejected):
        read(nowhere)
