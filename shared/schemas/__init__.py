"""Which types of export file there are, and the face of everything known about their rows.

A new type is a new module with a table of columns that ends in a call of `register`, and its
import here.
"""

from __future__ import annotations

from shared.schemas import customers, orders, rewards
from shared.schemas.columns import Column
from shared.schemas.kinds import KINDS, Kind
from shared.schemas.parts import Part, PartMaker, Parts
from shared.schemas.rows import Checked, Checker, Row, RowProblems, Rules
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
    "customers",
    "file_type",
    "orders",
    "register",
    "rewards",
]
