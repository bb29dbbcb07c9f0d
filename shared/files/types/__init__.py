"""Types of export file: their columns, the kinds of their cells, and the documents they become."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from shared.files.aggregation import Aggregation
from shared.files.cells import KINDS, Context, Kind
from shared.files.cells.damage import UNMARKED, VISIBLE, Repair, repaired
from shared.files.cells.flags import CONSENT
from shared.files.cells.numbers import INT64_MAX
from shared.files.cells.texts import DOCUMENT_ID, TEXT
from shared.files.column import SOURCES, Column, Paths, fields_of, nest, paths
from shared.files.filetype import (
    EXAMPLE_STAMP,
    FileType,
    Reference,
    Total,
    all_types,
    check_types,
    example_csv,
    file_type,
    going_after,
    known_type,
    own_name,
    waiting_for,
)
from shared.files.rules import EXTRA, Rules

__all__ = [
    "CONSENT",
    "DOCUMENT_ID",
    "EXAMPLE_STAMP",
    "EXTRA",
    "INT64_MAX",
    "KINDS",
    "SOURCES",
    "TEXT",
    "UNMARKED",
    "VISIBLE",
    "Aggregation",
    "Column",
    "Context",
    "FileType",
    "Kind",
    "Paths",
    "Reference",
    "Repair",
    "Rules",
    "Total",
    "all_types",
    "example_csv",
    "fields_of",
    "file_type",
    "going_after",
    "known_type",
    "nest",
    "own_name",
    "paths",
    "repaired",
    "waiting_for",
]

for _module in sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"shared.files.types.{_module}")
check_types()
