"""Search for a person's rows in a file, and removal of these rows.

A row is about a person if it has the person's id, or no id and an e-mail address of the person. Two
people may share an address, so a row with another id belongs to the other person.

Without known columns, any cell counts: a row is about a person if any cell is the id or an address.
That holds for rows with too many cells, and for files without a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

from shared.core import FileRejected
from shared.files import unguard
from shared.files.types import (
    UNMARKED,
    VISIBLE,
    FileType,
    Rules,
    repaired,
)
from shared.parsing import (
    DELIMITERS,
    HEADER_BYTES,
    Splitter,
    decode,
    dialect_of,
    read_header,
    refuse_foreign,
    without_bom,
)

BLOCK_BYTES = 1024 * 1024
LOOSE_BYTES = 64 * 1024 * 1024
"""Bytes of the largest file without known columns that is searched."""

_SHIFTED = frozenset(
    {"row.bad_quotes", "row.cell_count", "row.cell_without_column", "row.nul", "row.undecodable"}
)
"""Codes of rejected rows whose cells may be in the wrong columns."""
_ANY_DELIMITER = re.compile(rb"[%s\r\n]" % re.escape(DELIMITERS.encode()))
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class Person:
    """The person to search for, with the values found on the way."""

    id: str
    emails: frozenset[str] = frozenset()
    """E-mail addresses as they are written; upper and lower case count as equal."""
    orders: frozenset[str] = frozenset()
    """Numbers of the person's orders, which reports may name."""

    @cached_property
    def addresses(self) -> frozenset[str]:
        """E-mail addresses in lower case."""
        return frozenset(email.lower() for email in self.emails)

    def knowing(self, *, emails: Iterable[str] = (), orders: Iterable[str] = ()) -> Person:
        """Return the person with further e-mail addresses and orders; blanks are left out."""
        return replace(
            self,
            emails=self.emails.union(email for email in emails if email),
            orders=self.orders.union(order for order in orders if order),
        )

    def named_by(self, cell: str) -> bool:
        """True if a cell of any column is the person's id or e-mail address."""
        return cell == self.id or cell.lower() in self.addresses

    def mentioned(self, text: str) -> bool:
        """True if a text has the person's id or e-mail address as a separate word."""
        words = "|".join(re.escape(word) for word in (self.id, *self.addresses))
        return bool(re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Positions of the columns that name a person; None for a column that the file lacks."""

    delimiter: str
    width: int
    """Number of cells per row."""
    header_end: int
    """Offset in bytes of the header's end, without the byte order mark."""
    id: int | None
    """None if files of the type have no ids of persons."""
    email: int | None
    order: int | None
    code: int | None
    """Position of the column `code` in a report of rejected rows."""


@dataclass(slots=True)
class Look:
    """The result of a search of one file."""

    person: Person
    """The person, with values found in the file."""
    columns: Columns | None
    """The columns; None if any cell counts."""
    seen: int = 0
    """Number of rows searched."""
    about: int = 0
    """Number of rows about the person."""


class UnreadableFile(Exception):
    """The file has no readable rows and may hold the person; the message says what the file is."""


def look(stream: BinaryIO, person: Person, types: Sequence[tuple[FileType, Rules]]) -> Look:
    """Read a file to its end, and find the rows about a person.

    Args:
        stream: the file; it must be seekable.
        person: the person.
        types: the types of files that it may be, each with the connection's rules.

    Raises:
        UnreadableFile: the file is not CSV text, or is large and has no known columns.
    """
    found = Look(person, _columns(_read(stream, HEADER_BYTES), types))
    if found.columns is not None:
        try:
            stream.seek(0)
            for _ in _sift(stream, found):
                pass
            return found
        except FileRejected:
            # The file is cut off or lacks a quote, so that the starts of its rows are unknown.
            found = Look(person, None)
    stream.seek(0)
    head = _read(stream, HEADER_BYTES)
    try:
        if head:
            refuse_foreign(head)
    except FileRejected as error:
        return _search(head + _read(stream, LOOSE_BYTES), found, what=error.problem.message)
    stream.seek(0)
    for _ in _sift(stream, found):
        pass
    return found


def without(stream: BinaryIO, found: Look) -> Iterator[bytes]:
    """Yield the bytes of a searched file, unchanged but without the rows about the person."""
    return _sift(stream, Look(found.person, found.columns))


def _columns(head: bytes, types: Sequence[tuple[FileType, Rules]]) -> Columns | None:
    """Return the columns, by the type that knows most of them; None if no type finds the id."""
    best: Columns | None = None
    most = 0
    final = len(head) < HEADER_BYTES
    for type_, rules in types:
        layout = replace(type_.layout(rules), required=(), expected=(), key=None)
        try:
            refuse_foreign(head[:4096])
            line = read_header(without_bom(head), layout, final=final)
        except FileRejected:
            continue
        header = line.header
        id_column, email_column = type_.column_of("id"), type_.column_of("email")
        place = type_.place(id_column.name, header, rules) if id_column else None
        email = type_.place(email_column.name, header, rules) if email_column else None
        known = len(header.names) - len(header.unknown)
        named = email if id_column is None else place
        if named is not None and known > most:
            most = known
            best = Columns(
                delimiter=line.delimiter,
                width=line.width,
                header_end=line.end,
                id=place,
                email=email,
                order=type_.place(type_.key.name, header, rules)
                if type_.key.person != "id"
                else None,
                code=len(header.names) + line.report.index("code")
                if "code" in line.report
                else None,
            )
    return best


def _sift(stream: BinaryIO, found: Look) -> Iterator[bytes]:
    """Yield the bytes that are not about the person, and count the rows that are."""
    columns = found.columns
    parts = _records(stream, columns) if columns is not None else _loose_records(stream)
    for data, starts, ends in parts:
        found.seen += len(ends)
        kept = 0
        if _mentions(data, found.person):
            for start, end in zip(starts, ends, strict=True):
                record = data[start:end]
                if _mentions(record, found.person) and _judge(record, columns, found):
                    yield data[kept:start]
                    kept = end
                    found.about += 1
        yield data[kept:]


def _judge(record: bytes, columns: Columns | None, found: Look) -> bool:
    """Return True if a record is about the person; add its e-mail address and order to `found`."""
    person = found.person
    if columns is None:
        return any(person.named_by(cell.strip('" ')) for cell in _loose_cells(record))
    dialect = dialect_of(columns.delimiter)
    cut = dialect.cut(record)
    cells = [_text(cell) for cell in dialect.loose(record)] if cut else _loose_cells(record)
    if (
        cut is None
        or cut.broken
        or len(cells) != columns.width
        or (columns.code is not None and _SHIFTED & set(cells[columns.code].split("; ")))
    ):
        return any(map(person.named_by, cells))
    email = "" if columns.email is None else cells[columns.email]
    id = "" if columns.id is None else cells[columns.id]
    if id not in ("", person.id):
        return False
    if not id and email.lower() not in person.addresses:
        return False
    order = "" if columns.order is None else cells[columns.order]
    found.person = person.knowing(emails=[email] if "@" in email else [], orders=[order])
    return True


def _records(
    stream: BinaryIO, columns: Columns
) -> Iterator[tuple[bytes, Iterable[int], Sequence[int]]]:
    """Yield the file in parts: bytes, and the offsets at which the part's records begin and end.

    The first part is the header, without records.

    Raises:
        FileRejected: the file is cut off, or a record does not end.
    """
    splitter = Splitter(columns.delimiter, width=columns.width)
    block = _read(stream, BLOCK_BYTES)
    begin = len(block) - len(without_bom(block)) + columns.header_end
    yield block[:begin], (), ()
    block = block[begin:]
    while True:
        following = _read(stream, BLOCK_BYTES)
        records = splitter.split(block, final=not following)
        ends = records.ends.tolist()
        if ends:
            yield records.data[: ends[-1]], [0, *ends][: len(ends)], ends
        if not following:
            return
        block = following


def _loose_records(
    stream: BinaryIO,
) -> Iterator[tuple[bytes, Iterable[int], Sequence[int]]]:
    """Yield a file without known columns as one part, like `_records`.

    Raises:
        UnreadableFile: the file is larger than `LOOSE_BYTES`.
    """
    data = _read(stream, LOOSE_BYTES + 1)
    if len(data) > LOOSE_BYTES:
        raise UnreadableFile("The file is large, and its columns cannot be told.")
    dialect = dialect_of(max(DELIMITERS, key=lambda one: data[:4096].count(one.encode())))
    ends: list[int] = []
    offset = 0
    while offset < len(data):
        record = dialect.cut(data, offset)
        # After a quote that is never closed, the rest is one record.
        offset = record.end if record is not None and record.end > offset else len(data)
        ends.append(offset)
    yield data, [0, *ends][: len(ends)], ends


def _search(data: bytes, found: Look, *, what: str) -> Look:
    """Search a file that is not CSV; return `found` if the file is text without the person.

    Raises:
        UnreadableFile: the person is in the file, or the file is not text.
    """
    if data.startswith(_UTF_16):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8", "replace")
        if "\ufffd" in text or "\0" in text:
            raise UnreadableFile(what)
    if len(data) > LOOSE_BYTES or found.person.mentioned(text):
        raise UnreadableFile(what)
    return found


def _mentions(data: bytes, person: Person) -> bool:
    """True if bytes may hold the person: a fast test, whose False is always right."""
    words = (person.id, *person.addresses)
    lower = data.lower().translate(None, _WIDE)  # an id may have invisible characters inside
    return any(
        not word.isascii() or word.lower().replace('"', '""').encode() in lower for word in words
    )


_WIDE = bytes(range(0x80, 0x100))


def _loose_cells(record: bytes) -> list[str]:
    return [_text(cell) for cell in _ANY_DELIMITER.split(record)]


def _text(cell: bytes) -> str:
    decoded = decode(cell)
    text = decoded[0] if decoded else cell.decode("utf-8", "replace")
    return repaired(unguard(text.strip()), (VISIBLE, UNMARKED))[0]  # as a key is read


def _read(stream: BinaryIO, wanted: int) -> bytes:
    """Return `wanted` bytes; fewer only at the end of the stream."""
    parts: list[bytes] = []
    while wanted and (part := stream.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)
