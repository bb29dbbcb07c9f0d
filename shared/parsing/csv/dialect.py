"""Rules of quotes, delimiters, line ends and blanks, applied to one row at a time.

A cell in quotes ends at its closing quote. Only blanks are allowed around the quotes, and a quote
inside is written twice. A quote inside a cell without quotes is text, as in `5" heel`. If a quote
breaks these rules, the line on which the row begins is broken, and the next row begins on the next
line. So of the three lines

    10,"VIP,bo@example.com
    11,STD,di@example.com
    12,"VIP",cy@example.com

the first is broken, and the others are rows. Otherwise the third line would close the quote that
the first line opens, and row 11 would be lost inside a cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

WIDE_BLANKS = "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
WIDE_BLANKS += "\u2028\u2029\u202f\u205f\u3000"
"""Blanks outside ASCII that `str.strip` removes."""
INVISIBLE = "\ufeff\u200b\u2060"
"""Characters without width that exports leave at the beginning of a file or a name."""
END_OF_FILE = b"\x1a"
"""Ctrl-Z, which some Windows programs write after the last line."""

NARROW = 4
"""Most columns of a narrow header. A line of prose, such as `Hobart, TAS`, may have as many cells
as such a row. So a line with a blank beside a delimiter is not taken for a row there."""

_ASCII_BLANKS = b" \t\x0b\x0c\x1a\x1c\x1d\x1e\x1f"
_CR = b"\r"
_BACKSLASH = '; a quote inside a value is written as two quotes (""), not as \\"'


@dataclass(frozen=True, slots=True)
class Record:
    """One row, or one broken line."""

    cells: tuple[bytes, ...]
    """Cells without quotes; empty for a row of nothing. Cells of a broken line are as `loose`
    returns them."""
    end: int
    """Place after the row, its line end included, in the bytes it was read from."""
    closed: bool
    """True if the row has a line end."""
    broken: bool = False
    """True for a line with a quote that is not closed, or not doubled."""


class Dialect:
    """Cuts rows of files with one delimiter, given as one ASCII character."""

    def __init__(self, delimiter: str, *, width: int | None = None) -> None:
        """Prepare; `width` is the number of the header's cells.

        With None, rows hidden in a cell are not searched for.
        """
        self.delimiter = delimiter
        self._mark = mark = delimiter.encode()
        self._width = width
        self.leads = mark + bytes(one for one in _ASCII_BLANKS if one not in mark)
        """ASCII characters that rows of nothing may begin with; they may also begin with quotes or
        characters outside ASCII."""
        sign = re.escape(mark)
        end = rb"(%s|\r\n|\n|\r|\Z)" % sign
        blank = b"|".join(
            [b"[%s\xa0]" % re.escape(self.leads[1:])]  # \xa0: a no-break space in Windows-1252
            + [re.escape(one.encode()) for one in WIDE_BLANKS + INVISIBLE]
        )
        blanks = b"(?:%s)*+" % blank
        plain = rb"[^%s\r\n]*+" % sign
        inside = rb'"((?:[^"]++|"")*+)"'
        # Possessive throughout: a cell that begins with a quote is never tried again as a plain
        # cell.
        self._cell = re.compile(
            rb'(?:%s%s%s|((?!%s")%s))%s' % (blanks, inside, blanks, blanks, plain, end)
        )
        self._opened = re.compile(rb'%s"(?:[^"]++|"")*+("%s)?' % (blanks, blanks))
        self._loose = re.compile(
            rb"(?:%s%s%s(?=%s|[\r\n]|\Z)|(%s))%s" % (blanks, inside, blanks, sign, plain, end)
        )
        # In quotes, a tab is a blank even where it is the delimiter.
        nothing = rb'%s(?:"(?:%s|[\t\r\n])*+"%s)?' % (blanks, blank, blanks)
        self._nothing = re.compile(rb"%s(?:%s%s)*+[\r\n]*+" % (nothing, sign, nothing))
        self._spaced = re.compile(rb'(?:%s)"|"(?:%s)' % (blank, blank))
        self._line = re.compile(rb"[^\r\n]*+(\r\n|\n|\r|\Z)")
        self._prose = re.compile(rb"(?:%s)%s|%s(?:%s)" % (blank, sign, sign, blank))

    def cut(
        self,
        data: bytes,
        start: int = 0,
        stop: int | None = None,
        *,
        final: bool = True,
        doomed: set[int] | None = None,
    ) -> Record | None:
        """Cut the row that begins at `start`.

        Args:
            data: the bytes of the file, or a part of them.
            start: the place where the row begins.
            stop: the place where `data` ends for this purpose.
            final: True if nothing follows `data`.
            doomed: places at which a cell begins that leads to a broken quote. Calls for the same
                data share it, so that no byte is read again and again; it is filled here.

        Returns:
            The row; None if it does not end in `data`. With `final`, None means a quote that
            is never closed.
        """
        stop = len(data) if stop is None else stop
        cells: list[bytes] = []
        several: list[int] = []
        inside = (0, 0)
        position = start
        while match := self._cell.match(data, position, stop):
            quoted, plain, end = match.groups()
            begun, position = position, match.end()
            if not final and (not end or (end == _CR and position == stop)):
                return None
            if quoted is None:
                cells.append(plain)
            else:
                cells.append(quoted.replace(b'""', b'"'))
                if b"\n" in quoted or b"\r" in quoted:
                    several.append(begun)
                    inside = match.span(1)
                    if (doomed is not None and begun in doomed) or self._holds_row(quoted):
                        break
            if end == self._mark:
                continue
            if len(several) == 1 and self._joins_rows(data, start, *inside, position):
                return self._broken(data, start, stop, final=final)
            nothing = not b"".join(cells).strip() or self.is_nothing(data, start, position)
            return Record(() if nothing else tuple(cells), position, bool(end))
        else:
            opened = self._opened.match(data, position, stop)
            assert opened is not None
            # A blank has at most three bytes.
            if opened[1] is None or (not final and opened.end() > stop - 3):
                return None
            several.append(position)
        if doomed is not None:
            doomed.update(several)
        return self._broken(data, start, stop, final=final)

    def is_nothing(self, data: bytes, start: int, end: int) -> bool:
        """Return True if a row consists only of delimiters, blanks and Ctrl-Z."""
        return self._nothing.fullmatch(data, start, end) is not None

    def is_spaced(self, row: bytes) -> bool:
        """Return True if there may be blanks around the quotes of a row's cells."""
        return self._spaced.search(row) is not None

    def loose(self, row: bytes, *, most: int | None = None) -> list[bytes]:
        """Return the cells of a row or line that may be broken.

        A cell whose quotes break the rules ends at the next delimiter and keeps its quotes. If
        there are more cells than `most`, the last ones are returned as one, as written.
        """
        line = row.rstrip(b"\r\n")
        # Without quotes, every delimiter ends a cell.
        if b'"' not in line and b"\n" not in line and b"\r" not in line:
            return line.split(self._mark, -1 if most is None else most - 1)
        cells: list[bytes] = []
        for match in self._loose.finditer(row):
            quoted, plain, end = match.groups()
            if len(cells) + 1 == most and end == self._mark:
                return [*cells, row[match.start() :].rstrip(b"\r\n")]
            cells.append(plain if quoted is None else quoted.replace(b'""', b'"'))
            if end != self._mark:
                break
        return cells

    def fault(self, line: bytes) -> int:
        """Return the place of the cell with the quote in a broken line, counted from 0."""
        position = place = 0
        while match := self._cell.match(line, position):
            if match[3] != self._mark:
                break
            position = match.end()
            place += 1
        return place

    def hint(self, row: bytes) -> str:
        """Return a further hint for a row with a backslash before a quote in its first line."""
        return _BACKSLASH if b'\\"' in _first_line(row) else ""

    def _broken(self, data: bytes, start: int, stop: int, *, final: bool) -> Record | None:
        """Return the line that begins at `start` as broken."""
        match = self._line.match(data, start, stop)
        assert match is not None
        end = match[1]
        if not final and (not end or (end == _CR and match.end() == stop)):
            return None
        cells = self.loose(data[start : match.end()])
        return Record(tuple(cells), match.end(), bool(end), broken=True)

    # -- rows inside cells --------------------------------------------------------------------

    def _holds_row(self, quoted: bytes) -> bool:
        """Return True if a whole line inside a cell could be a row of the file."""
        if self._width is None or quoted.count(self._mark) < self._width - 1:
            return False
        lines = re.split(rb"\r\n|\n|\r", quoted)
        return any(map(self._is_row, lines[1:-1]))

    def _joins_rows(self, data: bytes, start: int, inside: int, until: int, end: int) -> bool:
        """Return True if the first and the last line of a row could each be a row of the file.

        The row's one cell of several lines is from `inside` to `until`.
        """
        if self._width is None or data.count(self._mark, start, end) < 2 * (self._width - 1):
            return False
        first = data[start : inside + len(_first_line(data[inside:until]))]
        last = max(data.rfind(b"\n", inside, until), data.rfind(b"\r", inside, until)) + 1
        return self._is_row(first) and self._is_row(data[last:end].rstrip(b"\r\n"))

    def _is_row(self, line: bytes) -> bool:
        width = self._width
        if width is None or width < 2 or len(self.loose(line)) != width:
            return False
        return width > NARROW or not self._prose.search(line)


def _first_line(data: bytes) -> bytes:
    return re.split(rb"[\r\n]", data, maxsplit=1)[0]


@lru_cache(maxsize=64)
def dialect_of(delimiter: str, width: int | None = None) -> Dialect:
    """Return the `Dialect` of a delimiter; one made before serves again, its patterns are long."""
    return Dialect(delimiter, width=width)
