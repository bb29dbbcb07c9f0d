"""Which rows of a file are about one person, and what is left of the file without them.

A row is about a person if it names their id, or no id at all and an e-mail address of theirs. Two
people may share an address, so a row that names another id is the other's. Where the columns cannot
be told, as in a row with too many cells or a file without a header, a row is about a person if any
of its cells is their id or address.
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
    Dialect,
    Splitter,
    decode,
    read_header,
    refuse_foreign,
    without_bom,
)

BLOCK_BYTES = 1024 * 1024
LOOSE_BYTES = 64 * 1024 * 1024
"""Bytes of the largest file without usable columns that is looked into."""

_SHIFTED = frozenset(
    {"row.bad_quotes", "row.cell_count", "row.cell_without_column", "row.nul", "row.undecodable"}
)
"""Codes of a report's rows whose cells need not stand under their names."""
_ANY_DELIMITER = re.compile(rb"[%s\r\n]" % re.escape(DELIMITERS.encode()))
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom to look for, and what has been found out about them on the way."""

    id: str
    emails: frozenset[str] = frozenset()
    """E-mail addresses, as they are written somewhere; their case does not matter."""
    orders: frozenset[str] = frozenset()
    """Numbers of their orders, which reports may name."""

    @cached_property
    def addresses(self) -> frozenset[str]:
        """Their e-mail addresses in lower case."""
        return frozenset(email.lower() for email in self.emails)

    def knowing(self, *, emails: Iterable[str] = (), orders: Iterable[str] = ()) -> Person:
        """Return the person with more known of them; blanks are left out."""
        return replace(
            self,
            emails=self.emails.union(email for email in emails if email),
            orders=self.orders.union(order for order in orders if order),
        )

    def named_by(self, cell: str) -> bool:
        """Whether a cell, whatever it is for, is their id or their address."""
        return cell == self.id or cell.lower() in self.addresses

    def mentioned(self, text: str) -> bool:
        """Whether a text holds their id or their address as a word of its own."""
        words = "|".join(re.escape(word) for word in (self.id, *self.addresses))
        return bool(re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where in the rows of a file it says whom they are about."""

    delimiter: str
    width: int
    """How many cells a row has."""
    header_end: int
    """Where the header ends, counted without byte order marks."""
    id: int | None
    """None where files of the type name no ids."""
    email: int | None
    order: int | None
    code: int | None
    """In a report of refused rows, the cell with what is wrong with the row."""


@dataclass(slots=True)
class Look:
    """What a look into a file has found."""

    person: Person
    """What is known of the person afterwards."""
    columns: Columns | None
    """None where any cell counts."""
    seen: int = 0
    """Rows looked at."""
    about: int = 0
    """Rows about the person."""


class UnreadableFile(Exception):
    """No rows can be told in the file, but it may hold the person; the text says what it is."""


def look(stream: BinaryIO, person: Person, types: Sequence[tuple[FileType, Rules]]) -> Look:
    """Read a file to its end and find the rows about a person.

    `stream` can be set back to its beginning. `types` are those that the file may be of.

    Raises:
        Unreadable: it is not CSV text, or too large a text without usable columns.
    """
    found = Look(person, _columns(_read(stream, HEADER_BYTES), types))
    if found.columns is not None:
        try:
            stream.seek(0)
            for _ in _sift(stream, found):
                pass
            return found
        except FileRejected:
            # It breaks off or a quote is missing, so that nobody knows where its rows begin.
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
    """Give what is left of a file that was looked into, without the rows about the person.

    Everything else stays byte for byte.
    """
    return _sift(stream, Look(found.person, found.columns))


def _columns(head: bytes, types: Sequence[tuple[FileType, Rules]]) -> Columns | None:
    """Find the columns by the type that knows the most of them; None where none knows an id."""
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
    """Give the bytes that are not about the person, and count what is."""
    columns = found.columns
    parts = _records(stream, columns) if columns is not None else _loose_records(stream)
    for data, starts, ends in parts:
        found.seen += len(ends)
        at = 0
        if _mentions(data, found.person):
            for start, end in zip(starts, ends, strict=True):
                record = data[start:end]
                if _mentions(record, found.person) and _judge(record, columns, found):
                    yield data[at:start]
                    at = end
                    found.about += 1
        yield data[at:]


def _judge(record: bytes, columns: Columns | None, found: Look) -> bool:
    """Whether a record is about the person; learns from one that is."""
    person = found.person
    if columns is None:
        return any(person.named_by(cell.strip('" ')) for cell in _loose_cells(record))
    dialect = Dialect(columns.delimiter)
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
    """Give the file in parts, each with where its records begin and end; the header has none.

    Raises:
        FileRejected: it breaks off, or a record does not end.
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
    """Give a file of which nobody knows the columns, and where its records begin and end."""
    data = _read(stream, LOOSE_BYTES + 1)
    if len(data) > LOOSE_BYTES:
        raise UnreadableFile("The file is large, and its columns cannot be told.")
    dialect = Dialect(max(DELIMITERS, key=lambda one: data[:4096].count(one.encode())))
    ends: list[int] = []
    at = 0
    while at < len(data):
        record = dialect.cut(data, at)
        # A quote that is never closed: the rest is one record.
        at = record.end if record is not None and record.end > at else len(data)
        ends.append(at)
    yield data, [0, *ends][: len(ends)], ends


def _search(data: bytes, found: Look, *, what: str) -> Look:
    """Look for the person in a file that is not CSV, as far as it is text.

    Raises:
        Unreadable: the person is in it, or it is no text.
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
    """Whether bytes may hold the person at all: quick, and never wrong when it says no."""
    words = (person.id, *person.addresses)
    lower = data.lower().translate(None, _WIDE)  # an id may have unseen characters inside
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
    """Read so many bytes; fewer only at the end."""
    parts: list[bytes] = []
    while wanted and (part := stream.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)
