"""Where the records of an index are kept: objects in the bucket that are never changed.

An object is used only if it is exactly the one that the feed points at: its generation, its size
and its checksum. So whatever happens to it, a changed index is no index.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import google.cloud.storage as storage
import google_crc32c
import numpy as np
from google.api_core import exceptions
from google.resumable_media import DataCorruption, InvalidResponse
from requests.exceptions import RequestException

from shared.errors import TryAgain
from shared.index import BLOCK, RECORD, Records
from shared.ledger_store import Part
from shared.names import STATE

_T = TypeVar("_T")

_HEAD = b"A21INDEX00000001"
"""How every index begins: what it is, and the version of its records."""

_UPLOAD_BYTES = 8 * 1024 * 1024

_FAULTS = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    RequestException,
    DataCorruption,
    InvalidResponse,
)


class Unusable(Exception):
    """The object is gone, or is not the one that was written."""


def folder(connection: str, type: str) -> str:
    """Return how the names of all index objects of a type begin."""
    return f"{STATE}/{connection}/{type}/"


def read(
    bucket: storage.Bucket, part: Part, *, tick: Callable[[], None] = lambda: None
) -> Iterator[Records]:
    """Give the records of a part, a block at a time, calling `tick` before each.

    What has been given must not be relied on before the end is reached.

    Raises:
        Unusable: it is not what was written.
        TryAgain: Cloud Storage could not be reached.
    """
    blob = _try(lambda: bucket.get_blob(part.object, generation=part.generation), "read")
    if blob is None or blob.size != part.size or blob.crc32c != part.crc32c:
        raise Unusable(part.object)
    size = crc = 0
    with blob.open("rb", chunk_size=BLOCK * RECORD.itemsize, raw_download=True) as stream:

        def take(count: int) -> bytes:
            nonlocal size, crc
            tick()
            block: bytes = _try(lambda: stream.read(count), "read")
            size += len(block)
            crc = google_crc32c.extend(crc, block)
            return block

        head = take(len(_HEAD))
        if head != _HEAD or (part.size - len(_HEAD)) % RECORD.itemsize:
            raise Unusable(part.object)
        while size < part.size:
            block = take(BLOCK * RECORD.itemsize)
            if not block or len(block) % RECORD.itemsize:
                break
            yield np.frombuffer(block, dtype=RECORD)
    if size != part.size or _encoded(crc) != part.crc32c:
        raise TryAgain("The index could not be read whole.")


def write(
    bucket: storage.Bucket,
    folder: str,
    blocks: Iterable[Records],
    *,
    tick: Callable[[], None] = lambda: None,
) -> Part:
    """Write records as a new object of a folder, calling `tick` before each block.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    blob = bucket.blob(f"{folder}{uuid.uuid4().hex}.index")
    stream: Any = blob.open("wb", chunk_size=_UPLOAD_BYTES, content_type="application/octet-stream")
    size = crc = 0

    def put(block: bytes) -> None:
        nonlocal size, crc
        size += len(block)
        crc = google_crc32c.extend(crc, block)
        _try(lambda: stream.write(block), "written")

    try:
        put(_HEAD)
        for records in blocks:
            tick()
            put(records.tobytes())
        _try(stream.close, "written")
        _try(blob.reload, "written")
    except BaseException:
        if not stream.closed:
            with suppress(*_FAULTS):
                stream.terminate()
        raise
    if blob.size != size or blob.crc32c != _encoded(crc):
        raise TryAgain("The index could not be written whole.")
    return Part(object=blob.name, generation=int(blob.generation), size=size, crc32c=_encoded(crc))


def delete(bucket: storage.Bucket, part: Part) -> None:
    """Remove an object that nothing points at any more, if that can be done now.

    The sweep removes what is left.
    """
    with suppress(*_FAULTS):
        bucket.blob(part.object).delete(if_generation_match=part.generation)


def _encoded(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _try(call: Callable[[], _T], done: str) -> _T:
    try:
        return call()
    except exceptions.NotFound as error:
        raise TryAgain(f"The index could not be {done}: it is gone.") from error
    except _FAULTS as error:
        raise TryAgain(f"The index could not be {done}: {type(error).__name__}") from error
