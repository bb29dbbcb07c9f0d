"""The format of a type of file, as it reads in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from shared.files.types import EXAMPLE_STAMP, Column, FileType, example_csv


def description(type_: FileType, *, width: int) -> str:
    """Return every column with its other names, its format and whether it is needed."""
    return "\n".join(_lines(type_, min(max(width, 40), 100))) + "\n"


def _lines(type_: FileType, width: int) -> Iterator[str]:
    yield f"{type_.name}_{EXAMPLE_STAMP}.csv"
    yield ""
    yield from textwrap.wrap(type_.about, width)
    yield ""
    for column in type_.own_columns:
        needed = f"  ({need})" if (need := _need(column, type_)) else ""
        yield f"{column.name}{needed}"
        facts = [column.kind.form]
        if column.max_length:
            facts.append(f"{column.max_length} characters at most")
        yield from _indented(f"{column.meaning} {'; '.join(facts)}.", width)
        if column.aliases:
            yield from _indented(f"also called {', '.join(column.aliases)}", width)
    yield ""
    yield "An example:"
    yield ""
    yield example_csv(type_).rstrip("\n")


def _need(column: Column, type_: FileType) -> str:
    if column.key:
        return "needed: the key"
    if column.required:
        return "needed"
    for group in type_.one_of:
        if column.name in group:
            return f"needed, or {' or '.join(name for name in group if name != column.name)}"
    return "expected" if column.expected else ""


def _indented(words: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, initial_indent="    ", subsequent_indent="    ")
