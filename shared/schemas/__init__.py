"""Which types of export file there are, and the face of everything known about their rows.

A new type is a new module in shared/schemas/exports: a table of columns that ends in a call of
`register`.
"""

from __future__ import annotations

from importlib import import_module

from shared.names import TYPES
from shared.schemas.columns import Column
from shared.schemas.kinds import KINDS, Kind
from shared.schemas.parts import Part, PartMaker, Parts
from shared.schemas.rows import Checked, Checker, Row, RowProblems
from shared.schemas.rules import Rules
from shared.schemas.types import FileType, all_types, file_type, register

__all__ = [
    "KINDS",
    "Checked",
    "Checker",
    "Column",
    "FileType",
    "Kind",
    "Part",
    "PartMaker",
    "Parts",
    "Row",
    "RowProblems",
    "Rules",
    "all_types",
    "file_type",
    "register",
]

for _type in TYPES:
    import_module(f"shared.schemas.exports.{_type}")
