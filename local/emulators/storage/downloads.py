"""Sends an object's bytes: whole or in part, compressed as stored or unpacked.

https://cloud.google.com/storage/docs/transcoding
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator
from typing import BinaryIO

from local.emulators.storage.contents import pieces
from local.emulators.storage.model import Object
from local.emulators.storage.refusals import Refusal
from local.emulators.storage.resources import CONTENT_TYPE, etag, http_date
from local.emulators.storage.wire import Answer, Request

_STEP_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


def download(item: Object, file: BinaryIO, request: Request) -> Answer:
    """Answer with an object's bytes; `file` is closed when they are sent. Raises Refusal."""
    headers = _headers(item)
    encoding = item.settings.get("contentEncoding")
    if encoding == "gzip" and not _keeps_gzip(item, request):
        # The unpacked size is unknown, so no part of it can be requested.
        headers.append(("Warning", "214 UploadServer gunzipped"))
        return Answer(headers=headers, body=_unpacked(file))
    if encoding:
        headers.append(("Content-Encoding", encoding))
    try:
        span = byte_range(request.headers.get("range"), item.size)
    except Refusal:
        file.close()
        raise
    if span is None:
        headers.append(("Content-Length", str(item.size)))
        return Answer(headers=headers, body=_stored(file, 0, item.size))
    first, last = span
    headers.append(("Content-Range", f"bytes {first}-{last}/{item.size}"))
    headers.append(("Content-Length", str(last - first + 1)))
    return Answer(status=206, headers=headers, body=_stored(file, first, last - first + 1))


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read the requested range, both ends included; None for the whole object.

    A header that is not valid, or that asks for several ranges, is ignored, as in the RFC.

    Raises:
        Refusal: 416, none of the bytes exist.
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or found.group() == "bytes=-":
        return None
    first, last = found.group("first", "last")
    if first and last and int(last) < int(first):
        return None
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(0, size - int(last)), size - 1
    if start >= size:
        raise Refusal(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
    return start, end


def _headers(item: Object) -> list[tuple[str, str]]:
    settings = item.settings
    headers = [
        ("Content-Type", settings.get("contentType", CONTENT_TYPE)),
        ("ETag", etag(item)),
        ("Last-Modified", http_date(item.updated)),
        ("Cache-Control", settings.get("cacheControl", "no-cache, no-store, max-age=0")),
        ("x-goog-generation", str(item.generation)),
        ("x-goog-metageneration", str(item.metageneration)),
        ("x-goog-storage-class", settings.get("storageClass", "STANDARD")),
        ("x-goog-stored-content-encoding", settings.get("contentEncoding", "identity")),
        ("x-goog-stored-content-length", str(item.size)),
        ("x-goog-hash", f"crc32c={item.crc32c}"),
    ]
    if item.md5 is not None:
        headers.append(("x-goog-hash", f"md5={item.md5}"))
    for name, key in (
        ("Content-Disposition", "contentDisposition"),
        ("Content-Language", "contentLanguage"),
    ):
        if settings.get(key):
            headers.append((name, settings[key]))
    return headers


def _keeps_gzip(item: Object, request: Request) -> bool:
    accepted = request.headers.get("accept-encoding", "")
    unwanted = "no-transform" in item.settings.get("cacheControl", "")
    return "gzip" in accepted or unwanted


def _stored(file: BinaryIO, first: int, size: int) -> Generator[bytes, None, None]:
    with file:
        file.seek(first)
        yield from pieces(file, size=size)


def _unpacked(file: BinaryIO) -> Generator[bytes, None, None]:
    with file:
        unpack = zlib.decompressobj(wbits=31)
        for piece in pieces(file):
            while piece:
                # A bounded step: a few bytes can unpack to very many.
                data = unpack.decompress(piece, _STEP_BYTES)
                if data:
                    yield data
                piece = unpack.unconsumed_tail
                if unpack.eof:
                    piece, unpack = unpack.unused_data, zlib.decompressobj(wbits=31)
