"""Export files read letter by letter, slowly and plainly: what the quick reader is held against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

BLANKS = {chr(code) for code in range(0x3001) if chr(code).isspace()} - {"\r", "\n"}
BLANKS |= {"\ufeff", "\u200b", "\u2060", "\x1a", "\udca0"}
"""The last is a no-break space in Windows-1252, as `surrogateescape` has it."""


class Truncated(Exception):
    """The file ends inside quotes; the argument is the line on which that row begins."""


@dataclass(frozen=True)
class SlowRow:
    """A row, or a broken line."""

    line: int
    text: str
    cells: list[str] | None
    """None for a broken line, nothing for a row of nothing."""


def rows(data: bytes, delimiter: str, width: int | None, *, line: int = 1) -> Iterator[SlowRow]:
    """Read what stands below a header of `width` cells; raises Truncated behind the last row."""
    text = data.decode("utf-8", "surrogateescape")
    while text:
        cells, size = _row(text, delimiter, width, line)
        if cells is None:
            size = len(re.split("(?<=\n)|(?<=\r)(?!\n)", text)[0])
        blank = cells is not None and not any(
            cell.strip("".join(BLANKS) + "\r\n") for cell in cells
        )
        yield SlowRow(line, text[:size], [] if blank else cells)
        line += len(re.findall("\r\n|\r|\n", text[:size]))
        text = text[size:]


def _row(text: str, delimiter: str, width: int | None, line: int) -> tuple[list[str] | None, int]:
    """Return the cells of the first row and its size; None as cells of a broken line."""
    blanks = BLANKS - {delimiter}
    cells: list[str] = []
    several: list[tuple[int, int]] = []
    at = 0
    while True:
        begin = at
        while text[at : at + 1] in blanks and text[at:]:
            at += 1
        if text[at : at + 1] == '"':
            start = at = at + 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                at += 2 if text[at : at + 2] == '""' else 1
                if at >= len(text):
                    raise Truncated(line)
            inside = text[start:at]
            at += 1
            while text[at : at + 1] in blanks and text[at:]:
                at += 1
            if text[at : at + 1] not in {delimiter, "\r", "\n", ""}:
                return None, 0
            lines = re.split("\r\n|\r|\n", inside)
            if any(is_row(one, delimiter, width) for one in lines[1:-1]):
                return None, 0
            if len(lines) > 1:
                several.append((start + len(lines[0]), start + len(inside) - len(lines[-1])))
            cells.append(inside.replace('""', '"'))
        else:
            while text[at : at + 1] not in {delimiter, "\r", "\n", ""}:
                at += 1
            cells.append(text[begin:at])
        if text[at : at + 1] != delimiter:
            break
        at += 1
    if len(several) == 1:
        ((first, last),) = several
        if all(is_row(one, delimiter, width) for one in (text[:first], text[last:at])):
            return None, 0
    return cells, at + len(re.match("(?:\r\n|\r|\n)?", text[at:])[0])  # type: ignore[index]


def is_row(line: str, delimiter: str, width: int | None) -> bool:
    """Tell whether a line could be a row by itself."""
    if width is None or width < 2 or loose_count(line, delimiter) != width:
        return False
    return width > 4 or not re.search(
        f"{_blank(delimiter)}{re.escape(delimiter)}|{re.escape(delimiter)}{_blank(delimiter)}", line
    )


def loose_count(line: str, delimiter: str) -> int:
    """Count the cells of a line; quotes that break the rules are text."""
    blank, mark = _blank(delimiter), re.escape(delimiter)
    quoted = f'{blank}*"(?:[^"]|"")*"{blank}*(?=[{mark}\r\n]|$)'
    return len(re.findall(f"(?:^|{mark})(?:{quoted}|[^{mark}\r\n]*)", line))


def _blank(delimiter: str) -> str:
    return "[" + re.escape("".join(BLANKS - {delimiter})) + "]"
