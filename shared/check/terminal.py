"""How a verdict reads in a terminal, and the progress of a long file above it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from shared.check.verdict import Verdict
from shared.core import Problem, column_name, count, printable, size

LISTED = 20
"""Problems that are listed one by one."""
ALIKE = 3
"""Of these, how many have the same code and column."""

PROGRESS_FROM = 2 * 1024 * 1024
"""Bytes from which a file is long enough for a bar."""

_BAR = 30
_COLOURS = {"good": "32", "rows": "33", "file": "31", "dim": "2", "bold": "1"}
_SYMBOLS = ("✓", "!", "✗")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def text(verdict: Verdict, *, colour: bool, width: int) -> str:
    """Return the verdict for a terminal of that width; escape codes only with `colour`."""
    return "\n".join(_lines(verdict, _Paint(colour), min(max(width, 40), 100))) + "\n"


def terminal_width() -> int:
    """Return the columns of the terminal, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


class _Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, style: str, words: str) -> str:
        words = printable(words)
        return f"\x1b[{_COLOURS[style]}m{words}\x1b[0m" if self._colour else words


def _lines(verdict: Verdict, paint: _Paint, width: int) -> Iterator[str]:
    style = ("good", "rows", "file")[verdict.grade]
    yield f"{paint('bold', verdict.path)}  {paint('dim', size(verdict.size))}"
    yield paint(style, f"{_SYMBOLS[verdict.grade]} {verdict.text}")
    yield ""
    yield from _name(verdict, width)
    if verdict.type is None:
        yield from _fact("Content", "not looked at: the name does not tell what it is", width)
        return
    yield from _fact("Checked as", verdict.type, width)
    if verdict.columns:
        columns = count(len(verdict.columns), "column")
        if verdict.unknown:
            known = ", ".join(map(column_name, verdict.unknown[:8])) + (
                " …" if len(verdict.unknown) > 8 else ""
            )
            columns += f"; not in the format, kept under `extra`: {known}"
        yield from _fact("Header", columns, width)
        delimiter = _NAMES.get(verdict.delimiter or "", "?")
        yield from _fact("Written in", f"{verdict.encoding}, delimiter {delimiter}", width)
        yield from _fact(
            "Rows",
            f"{verdict.read:,} read, {verdict.good:,} good, {verdict.rejected:,} wrong; "
            f"{count(verdict.documents, 'document')}",
            width,
        )
    if verdict.error:
        yield ""
        yield from _problem(verdict.error, width)
        yield from _wrapped(f"→ {verdict.error.hint}", width, "  ")
    if verdict.counts:
        yield ""
        yield from _problems(verdict, paint, width)


def _name(verdict: Verdict, width: int) -> Iterator[str]:
    if verdict.name_problem is None:
        yield from _fact("Name", "right", width)
        return
    yield from _fact("Name", f"{verdict.name_problem.message} [{verdict.name_problem.code}]", width)
    if verdict.suggestion:
        yield from _fact("", f"→ rename it to {verdict.suggestion.rpartition('/')[2]}", width)
    else:
        yield from _fact("", f"→ {verdict.name_problem.hint}", width)


def _problems(verdict: Verdict, paint: _Paint, width: int) -> Iterator[str]:
    yield paint("bold", f"{count(sum(verdict.counts.values()), 'finding')}, by kind")
    for entry in verdict.summary:
        column = f" in {entry['column']}" if "column" in entry else ""
        yield from _wrapped(f"{entry['count']:>7,} × {entry['code']}{column}", width, "")
        yield from _wrapped(f"→ {entry['hint']}", width, " " * 10)
    yield ""
    listed = list(_some(verdict.problems))
    yield paint("bold", "One by one" if len(listed) == len(verdict.problems) else "Some of them")
    for problem in listed:
        yield from _problem(problem, width)
    unlisted = len(verdict.problems) - len(listed)
    if unlisted:
        yield paint("dim", f"  … and {unlisted:,} more; --json and --html list up to 10,000")


def _some(problems: Sequence[Problem]) -> Iterator[Problem]:
    """Give the first few of each kind, by the lines they stand on."""
    alike: Counter[tuple[str, str | None]] = Counter()
    first: list[Problem] = []
    for problem in sorted(problems, key=lambda one: one.line or 0):
        alike[problem.code, problem.column] += 1
        if alike[problem.code, problem.column] <= ALIKE:
            first.append(problem)
    yield from first[:LISTED]


def _problem(problem: Problem, width: int) -> Iterator[str]:
    yield from _wrapped(str(problem), width, "  ", rest="    ")


def _fact(name: str, words: str, width: int) -> Iterator[str]:
    yield from _wrapped(words, width, f"  {name:<12}", rest=" " * 14)


def _wrapped(words: str, width: int, first: str, *, rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        printable(words),
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_on_hyphens=False,
    )


class ProgressBar:
    """A progress bar on a terminal; does nothing elsewhere, or for a file that is soon read."""

    def __init__(self, name: str, size: int, stream: TextIO = sys.stderr) -> None:
        self._name = printable(name)
        self._size = size
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
