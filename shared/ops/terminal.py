"""How answers are written into a terminal: tables as wide as it is, colours where there are."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from shared.core import printable
from shared.reporting import FACES, Tone, face_of

_COLOURS: Mapping[str, str] = {
    "good": "32",
    "warn": "33",
    "bad": "31",
    "busy": "36",
    "calm": "2",
    "head": "1",
    "quiet": "2",
}
_PAINT = re.compile(r"(\033\[[0-9]m|\033\[3[0-9]m)")
_LEAST = 24
"""Columns that the last part of a table needs to be worth showing."""
_PAGE = 100
"""How wide text is set where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    tone: Tone | str = ""
    right: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))


class Screen:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO, *, width: int | None = None) -> None:
        self._stream = stream
        terminal = stream.isatty()
        # https://no-color.org
        self._colour = (
            terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        self.width = width or (shutil.get_terminal_size((_PAGE, 24)).columns if terminal else None)
        """Columns there are; None where it does not matter, in a pipe or a file."""

    def paint(self, text: str, tone: str) -> str:
        """Return a text in a colour where there are colours."""
        colour, text = _COLOURS.get(tone), printable(text)
        return f"\033[{colour}m{text}\033[0m" if self._colour and colour and text else text

    def line(self, text: str = "") -> None:
        """Write a line: its colours if there are any, and nothing else that a terminal obeys."""
        parts = _PAINT.split(text) if self._colour else [text]
        text = "".join(
            part if place % 2 else printable(part, keep="\n") for place, part in enumerate(parts)
        )
        print(text, file=self._stream)

    def head(self, text: str) -> None:
        """Write a heading."""
        self.line(f"\n{self.paint(text, 'head')}")

    def paragraph(self, text: str, *, indent: str = "", tone: str = "") -> None:
        """Write a text, broken where the terminal ends."""
        for line in textwrap.wrap(
            text,
            min(self.width or _PAGE, _PAGE),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ):
            self.line(self.paint(line, tone))

    def status(self, status: str, text: str) -> Cell:
        """Return a status with its sentence as a cell: sign and words."""
        face = face_of(status, text) if status in FACES else None  # type: ignore[arg-type]
        return Cell(f"{face.sign} {face.words}", face.tone) if face else Cell(status)

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Write names and values below each other."""
        longest = max((len(name) for name, _ in facts), default=0)
        for name, value in facts:
            self.line(f"  {self.paint(f'{name:<{longest}}', 'quiet')}  {value}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Write a table. The last column takes the room that is left, and is cut to it."""
        last = len(head) - 1
        widths = [
            max([len(head[place]), *(len(row[place].text) for row in rows)])
            for place in range(last)
        ]
        room = None
        if self.width is not None:
            room = self.width - sum(widths) - 2 * last
        shown = last + 1 if room is None or room >= _LEAST else last
        for number, row in enumerate([[Cell(name, "quiet") for name in head], *rows]):
            parts = []
            for place, cell in enumerate(row[:shown]):
                text = cell.text
                if place == last:
                    text = text if room is None or len(text) <= room else f"{text[: room - 1]}…"
                elif cell.right or (number == 0 and rows and rows[0][place].right):
                    text = f"{text:>{widths[place]}}"
                else:
                    text = f"{text:<{widths[place]}}"
                parts.append(self.paint(text, cell.tone))
            self.line("  ".join(parts).rstrip())
