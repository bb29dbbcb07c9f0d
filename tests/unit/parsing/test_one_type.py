"""Every field of every document has one Firestore type, whatever the file says."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from shared.files.filetype import file_type
from shared.firestore.bulk.encoding import decode_content
from shared.parsing.factory import join_parts, make_part_maker
from tests.support.cells import SYDNEY
from tests.unit.parsing.columnar.test_maker import cell, chunks_of, columns_of

FILES = 12


def types_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give path and type of every value in a document; entries of a list share their paths."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from types_in(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from types_in(inner, f"{path}[]")
    else:
        yield path, type(value).__name__


@pytest.mark.parametrize("name", ["customers", "orders", "rewards"])
def test_one_type_a_field(name: str) -> None:
    """Over sound and odd cells, in every kind of file, no field has values of two types."""
    type_ = file_type(name)
    found: dict[str, set[str]] = defaultdict(set)
    for seed in range(FILES):
        chance = random.Random(f"{name} {seed}")
        table_columns = columns_of(type_, chance)
        share = chance.choice((0.02, 0.1, 0.3))
        table = {
            column: [cell(type_, column, chance, share) for _ in range(120)]
            for column in table_columns
        }
        header, _, chunks = chunks_of(type_, table, SYDNEY, chance)
        maker = make_part_maker(type_, header, SYDNEY)
        for chunk in chunks:
            parts = maker.make(chunk).parts
            wires = parts.own
            if type_.grouped(header):
                groups: dict[str, list[Any]] = defaultdict(list)
                for key, part in zip(parts.keys, maker.parts(parts), strict=True):
                    groups[key].append(part)
                wires = [join_parts(type_, group)[0] for group in groups.values()]
            for wire in wires:
                for path, kind in types_in(decode_content(wire)):
                    found[path].add(kind)

    assert {path: kinds for path, kinds in found.items() if len(kinds) > 1} == {}
    assert len(found) >= len(type_.columns) - 3
