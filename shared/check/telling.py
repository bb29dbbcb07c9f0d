"""Text of a verdict on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shared.check.verdict import Verdict
from shared.core import Problem, column_name, count, size
from shared.terminal import Screen, Words

LISTED = 20
"""Problems that are listed one by one."""
ALIKE = 3
"""Listed problems with the same code and column."""

_TONES = ("good", "warn", "bad")
_SYMBOLS = ("✓", "!", "✗")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def tell(verdict: Verdict, screen: Screen) -> None:
    """Write the findings about a file: its grade, the facts, and the problems by kind."""
    grade = verdict.grade
    screen.line(Words(verdict.path, "head"), "  ", Words(size(verdict.size), "quiet"))
    screen.line(Words(f"{_SYMBOLS[grade]} {verdict.text}", _TONES[grade]))
    screen.line()
    screen.facts(list(_facts(verdict)))
    if verdict.type is None:
        return
    if verdict.error:
        screen.line()
        screen.paragraph(str(verdict.error), indent="  ", rest="    ")
        screen.paragraph(f"→ {verdict.error.hint}", indent="  ")
    if verdict.counts:
        _tell_problems(verdict, screen)


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.name_problem is None:
        yield "Name", "right"
    else:
        problem, suggestion = verdict.name_problem, verdict.suggestion
        yield "Name", f"{problem.message} [{problem.code}]"
        step = f"rename it to {suggestion.rpartition('/')[2]}" if suggestion else problem.hint
        yield "", f"→ {step}"
    if verdict.type is None:
        yield "Content", "not looked at: the name does not tell what it is"
        return
    yield "Checked as", verdict.type
    if verdict.columns:
        columns = count(len(verdict.columns), "column")
        if verdict.unknown:
            known = ", ".join(map(column_name, verdict.unknown[:8])) + (
                " …" if len(verdict.unknown) > 8 else ""
            )
            columns += f"; not in the format, kept under `extra`: {known}"
        yield "Header", columns
        delimiter = _NAMES.get(verdict.delimiter or "", "?")
        yield "Written in", f"{verdict.encoding}, delimiter {delimiter}"
        yield (
            "Rows",
            f"{verdict.read:,} read, {verdict.good:,} good, {verdict.rejected:,} with errors; "
            f"{count(verdict.documents, 'document')}",
        )


def _tell_problems(verdict: Verdict, screen: Screen) -> None:
    screen.head(f"{count(sum(verdict.counts.values()), 'finding')}, by kind")
    for group in verdict.groups:
        what = f"{group.code} in {group.column}" if group.column else group.code
        where = f", {group.where}" if group.where else ""
        kind = "" if group.is_error else "  (loaded)"
        screen.paragraph(f"{what}{where}{kind}", indent=f"{group.count:>7,} × ", rest=" " * 10)
        screen.paragraph(f"→ {group.hint}", indent=" " * 10)
    listed = list(_some(verdict.problems))
    screen.head("One by one" if len(listed) == len(verdict.problems) else "Some of them")
    for problem in listed:
        screen.paragraph(str(problem), indent="  ", rest="    ")
    unlisted = len(verdict.problems) - len(listed)
    if unlisted:
        screen.line(
            Words(f"  … and {unlisted:,} more; --json and --html list up to 10,000", "quiet")
        )


def _some(problems: Sequence[Problem]) -> Iterator[Problem]:
    """Yield the first few problems of each kind, sorted by line."""
    alike: Counter[tuple[str, str | None]] = Counter()
    first: list[Problem] = []
    for problem in sorted(problems, key=lambda one: one.line or 0):
        alike[problem.code, problem.column] += 1
        if alike[problem.code, problem.column] <= ALIKE:
            first.append(problem)
    yield from first[:LISTED]
