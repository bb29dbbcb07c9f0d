"""Text on a terminal: as wide as it is, in colours where there are any, and harmless to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from shared.core import printable, wrapped

_COLOURS = {
    "good": "32",
    "warn": "33",
    "bad": "31",
    "busy": "36",
    "calm": "2",
    "head": "1",
    "quiet": "2",
}
"""Tone -> how a terminal is told to write in it."""
_LEAST = 24
"""Columns that the last part of a table needs to be worth showing."""
_PAGE = 100
"""How wide text is set at most, and where there is no terminal."""
_NARROW = 40
"""How wide text is set at least."""

PROGRESS_FROM = 2 * 1024 * 1024
"""Bytes from which a file is long enough for a bar."""
_BAR = 30


@dataclass(frozen=True, slots=True)
class Words:
    """A text in a tone; in a table, a cell."""

    text: str
    tone: str = ""
    right: bool = False
    """Whether the cell is aligned to the right."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))


class Screen:
    """Writes lines to a stream. Nothing in a text is obeyed by a terminal."""

    def __init__(self, stream: TextIO, *, width: int | None = None) -> None:
        self._stream = stream
        terminal = stream.isatty()
        # https://no-color.org
        self._colour = (
            terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        self.width = width or (shutil.get_terminal_size((_PAGE, 24)).columns if terminal else None)
        """Columns there are; None where it does not matter, in a pipe or a file."""

    def line(self, *parts: str | Words) -> None:
        """Write a line of parts, those with a tone in its colour."""
        print("".join(map(self._shown, parts)).rstrip(" "), file=self._stream)

    def _shown(self, part: str | Words) -> str:
        if isinstance(part, str):
            return printable(part, keep="\n")
        colour = _COLOURS.get(part.tone) if self._colour else None
        return f"\033[{colour}m{part.text}\033[0m" if colour and part.text else part.text

    def head(self, text: str) -> None:
        """Write a heading."""
        self.line("\n", Words(text, "head"))

    def paragraph(
        self, text: str, *, indent: str = "", rest: str | None = None, tone: str = ""
    ) -> None:
        """Write a text, broken where the terminal ends; `rest` begins the lines after the first."""
        for line in self._wrapped(text, indent, indent if rest is None else rest):
            self.line(Words(line, tone))

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Write names and values below each other; on a terminal, long values are broken."""
        longest = max((len(name) for name, _ in facts), default=0)
        beside = " " * (longest + 4)
        for name, value in facts:
            lines = self._wrapped(value, beside, beside) if self.width else [beside + value]
            for number, line in enumerate(lines or [""]):
                label = "  " + f"{name:<{longest}}" if number == 0 else " " * (longest + 2)
                self.line(Words(label, "quiet"), line[len(label) :])

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
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
        for number, row in enumerate([[Words(name, "quiet") for name in head], *rows]):
            parts: list[str | Words] = []
            for place, cell in enumerate(row[:shown]):
                text = cell.text
                if place == last:
                    text = text if room is None or len(text) <= room else f"{text[: room - 1]}…"
                elif cell.right or (number == 0 and rows and rows[0][place].right):
                    text = f"{text:>{widths[place]}}"
                elif place < shown - 1:
                    text = f"{text:<{widths[place]}}"
                parts += ["  "] * bool(parts) + [Words(text, cell.tone)]
            self.line(*parts)

    def _wrapped(self, text: str, indent: str, rest: str) -> list[str]:
        width = max(min(self.width or _PAGE, _PAGE), _NARROW)
        return wrapped(printable(text), width, first=indent, rest=rest)


class ProgressBar:
    """A progress bar on a terminal; does nothing elsewhere, or for a file that is soon read."""

    def __init__(self, name: str, size: int, stream: TextIO = sys.stderr) -> None:
        self._name = printable(name)
        self._stream = stream
        self._shown = -1
        self._on = stream.isatty() and size >= PROGRESS_FROM

    def __call__(self, percent: int) -> None:
        """Show how much of the work is done."""
        if self._on and percent != self._shown:
            self._shown = percent
            bar = "█" * (percent * _BAR // 100)
            self._stream.write(f"\r{bar:░<{_BAR}} {percent:>3} %  {self._name}")
            self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._on and self._shown >= 0:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
