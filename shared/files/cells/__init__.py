"""Kinds of cells: the accepted forms in a file, and the values in a document."""

from __future__ import annotations

from shared.files.cells.flags import FLAGS
from shared.files.cells.kind import Context, Kind
from shared.files.cells.numbers import NUMBERS
from shared.files.cells.texts import TEXTS
from shared.files.cells.times import TIMES

__all__ = ["KINDS", "Context", "Kind"]

KINDS = (*TEXTS, *FLAGS, *TIMES, *NUMBERS)
"""All kinds, in the order of docs/formats.md."""
