"""Encodings of the bytes of a file, and files that are no text at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.core import FileRejected, Problem

UNREADABLE = "\ufffd"
"""Character in a cell for bytes that are text in no encoding. A cell with it is unreadable."""

UTF_8 = "utf-8"
WINDOWS_1252 = "windows-1252"

BOM = b"\xef\xbb\xbf"

_SPREADSHEET = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_ARCHIVES = (
    b"\x1f\x8b",  # gzip
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
    b"\x28\xb5\x2f\xfd",  # zstd
    b"Rar!\x1a\x07",
)
_OTHERS = {
    b"%pdf-": "a PDF document",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"-----begin pgp": "an encrypted message",
    b"{": "a JSON document",
    b"[": "a JSON document",
}
_UTF_16_AND_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def refuse_foreign(head: bytes) -> None:
    """Refuse a file that is no CSV text, judged by its first few kilobytes.

    Raises FileRejected: `file.empty`, `file.utf16`, `file.spreadsheet`, `file.compressed` or
    `file.not_csv`.
    """
    if not head:
        raise _rejected("file.empty", "The file is empty: it has no header either.")
    if head.startswith(_UTF_16_AND_32):
        raise _rejected("file.utf16", "The file is written in UTF-16 or UTF-32.")
    if head.startswith(_SPREADSHEET) or (
        head.startswith(b"PK") and (b"[Content_Types].xml" in head or b"xl/" in head)
    ):
        raise _rejected("file.spreadsheet", "The file is an Excel workbook.")
    if head.startswith(_ARCHIVES):
        raise _rejected("file.compressed", "The file is compressed.")
    beginning = head.removeprefix(BOM).lstrip()[:20].lower()
    for magic, what in _OTHERS.items():
        if beginning.startswith(magic):
            raise _rejected("file.not_csv", f"The file is {what}, not CSV text.")

    zeros = head.count(b"\0")
    if zeros == len(head):
        raise _rejected("file.not_csv", "The file consists of zero bytes.")
    if b"\0" in head[:4] and zeros > len(head) / 4:  # every other byte of Latin text is zero
        raise _rejected("file.utf16", "The file is written in UTF-16 or UTF-32.")


def without_bom(head: bytes) -> bytes:
    """Remove the byte order marks at the beginning of a file; some exports write two."""
    return re.sub(b"^(?:%s)++" % BOM, b"", head)


def text_of(cell: bytes) -> tuple[str, str]:
    """Read a cell as `decode` does; with UNREADABLE in it if it is text in neither encoding.

    Returns the text and the encoding, which is UTF-8 for an unreadable cell.
    """
    return decode(cell) or (cell.decode(WINDOWS_1252, "replace"), UTF_8)


def texts_of(cells: Sequence[bytes]) -> list[str]:
    """Read the cells of one row, each as `text_of` does."""
    try:
        return [cell.decode() for cell in cells]
    except UnicodeDecodeError:
        return [text_of(cell)[0] for cell in cells]


def decode(record: bytes) -> tuple[str, str] | None:
    """Read a cell or a row as UTF-8 or else as Windows-1252; return (text, encoding).

    Returns None if it is neither: 81, 8D, 8F, 90 and 9D are undefined in Windows-1252.
    """
    for encoding in (UTF_8, WINDOWS_1252):
        try:
            return record.decode(encoding), encoding
        except UnicodeDecodeError:
            pass
    return None


def _rejected(code: str, message: str) -> FileRejected:
    return FileRejected(Problem(code=code, message=message))
