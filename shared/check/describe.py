"""The format of a type of file, as text for a terminal."""

from __future__ import annotations

from shared.files.types import EXAMPLE_STAMP, Column, FileType, example_csv
from shared.terminal import Screen


def describe(type_: FileType, screen: Screen) -> None:
    """Write every column with its other names, its format, and a note if it is needed."""
    screen.line(f"{type_.name}_{EXAMPLE_STAMP}.csv")
    screen.line()
    screen.paragraph(type_.about)
    screen.line()
    for column in type_.own_columns:
        needed = f"  ({need})" if (need := _need(column, type_)) else ""
        screen.line(f"{column.name}{needed}")
        facts = [column.kind.form]
        if column.max_length:
            facts.append(f"{column.max_length} characters at most")
        screen.paragraph(f"{column.meaning} {'; '.join(facts)}.", indent="    ")
        if column.aliases:
            screen.paragraph(f"also called {', '.join(column.aliases)}", indent="    ")
    screen.line("\nAn example:\n")
    screen.line(example_csv(type_).rstrip("\n"))


def _need(column: Column, type_: FileType) -> str:
    if column.key:
        return "needed: the key"
    if column.required:
        return "needed"
    for group in type_.one_of:
        if column.name in group:
            return f"needed, or {' or '.join(name for name in group if name != column.name)}"
    return "expected" if column.expected else ""
