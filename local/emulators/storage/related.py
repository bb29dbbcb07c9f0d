"""Splits `multipart/related` bodies (JSON and bytes in one request) while they stream in.

https://cloud.google.com/storage/docs/uploading-objects-from-memory#upload-object-json
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.parser import HeaderParser

from local.emulators.storage.refusals import Refusal, invalid

_HEAD_BYTES = 1024 * 1024
"""Bytes of the part that holds the JSON, at most."""
_LINE_BYTES = 16 * 1024


class Related:
    """Two parts of a body. Call `head` first and `media` after it, each once."""

    def __init__(self, content_type: str, body: Iterator[bytes]) -> None:
        """Read `body`, whose parts are kept apart as `content_type` says. Raises Refusal."""
        self._body = body
        self._buffer = bytearray()
        self._mark = b"--" + boundary(content_type)
        self._line_break = b"\r\n"

    def head(self) -> tuple[bytes, Mapping[str, str]]:
        """Return the first part, and the headers of the second with lower-case names."""
        line = self._line()
        while line.rstrip() != self._mark:
            line = self._line()
        # Some clients, Google's own command line among them, end their lines with LF alone.
        self._line_break = b"\r\n" if line.endswith(b"\r\n") else b"\n"
        self._headers()
        first = b"".join(self._until_delimiter(limit=_HEAD_BYTES))
        if self._line().strip():
            raise _malformed()
        return first, self._headers()

    def media(self) -> Iterator[bytes]:
        """Yield the second part, piece by piece."""
        yield from self._until_delimiter(limit=None)
        # Only the end mark is left; a third part is ignored.
        for _ in self._body:
            pass

    def _headers(self) -> Mapping[str, str]:
        lines = []
        while (line := self._line()).strip():
            lines.append(line.decode("utf-8", "replace"))
        parsed = HeaderParser().parsestr("".join(lines))
        return {name.lower(): str(value) for name, value in parsed.items()}

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LINE_BYTES:
                raise _malformed()
            self._fill()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _until_delimiter(self, *, limit: int | None) -> Iterator[bytes]:
        """Yield the bytes before the next delimiter, and remove the delimiter."""
        delimiter = self._line_break + self._mark
        size = 0
        while (end := self._buffer.find(delimiter)) < 0:
            # The end of what is there may be the beginning of a delimiter.
            safe = len(self._buffer) - len(delimiter) + 1
            if safe > 0:
                piece = bytes(self._buffer[:safe])
                del self._buffer[:safe]
                size += len(piece)
                if limit is not None and size > limit:
                    raise _malformed()
                yield piece
            self._fill()
        if end:
            yield bytes(self._buffer[:end])
        del self._buffer[: end + len(delimiter)]

    def _fill(self) -> None:
        piece = next(self._body, None)
        if piece is None:
            raise _malformed()
        self._buffer += piece


def boundary(content_type: str) -> bytes:
    """Take the boundary from a content type; some clients quote it with apostrophes."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        value = value.strip()
        if name.lower() == "boundary" and value:
            for quote in ('"', "'"):
                if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
                    return value[1:-1].encode("latin-1")
            return value.encode("latin-1")
    raise invalid("The content type names no boundary.")


def _malformed() -> Refusal:
    return Refusal(400, "badRequest", "Malformed multipart body.")
