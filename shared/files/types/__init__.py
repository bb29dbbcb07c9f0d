"""Types of export file: their columns, the kinds of their cells, and the documents they become."""

from __future__ import annotations

from importlib import import_module

from shared.files.certain import (
    BEGINS,
    DAY_BYTES,
    MOMENT_BYTES,
    NUMBER_BYTES,
    UNREAD,
    Doubles,
    finer,
    microseconds,
)
from shared.files.columns import SOURCES, Column, Paths, nest, paths
from shared.files.damage import UNMARKED, VISIBLE, Repair, repaired
from shared.files.examples import EXAMPLE_STAMP, example_csv
from shared.files.filetype import (
    EMAIL_COLUMN,
    PERSON_COLUMN,
    FileType,
    all_types,
    file_type,
    own_key,
)
from shared.files.kinds import CONSENT, DOCUMENT_ID, INT64_MAX, KINDS, TEXT, Context, Kind
from shared.files.names import TYPES
from shared.files.rules import EXTRA, Rules
from shared.files.usual import Usual

__all__ = [
    "BEGINS",
    "CONSENT",
    "DAY_BYTES",
    "DOCUMENT_ID",
    "EMAIL_COLUMN",
    "EXAMPLE_STAMP",
    "EXTRA",
    "INT64_MAX",
    "KINDS",
    "MOMENT_BYTES",
    "NUMBER_BYTES",
    "PERSON_COLUMN",
    "SOURCES",
    "TEXT",
    "UNMARKED",
    "UNREAD",
    "VISIBLE",
    "Column",
    "Context",
    "Doubles",
    "FileType",
    "Kind",
    "Paths",
    "Repair",
    "Rules",
    "Usual",
    "all_types",
    "example_csv",
    "file_type",
    "finer",
    "microseconds",
    "nest",
    "own_key",
    "paths",
    "repaired",
]

for _type in TYPES:
    import_module(f"shared.files.types.{_type}")
