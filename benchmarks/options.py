"""Options of a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.exports import TYPES
from benchmarks.load import OURS
from benchmarks.usual import WAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choice of measurements, and their repetitions."""

    types: Sequence[str] = TYPES
    rows: Sequence[int] = (1_000, 100_000, 1_000_000)
    """Sizes of files."""
    slow_rows: int = 100_000
    """Rows of the largest file that the ways in use elsewhere are asked to load."""
    ways: Sequence[str] = (*WAYS, OURS)
    repeats: int = 3
    imports: int = 100_000
    """Imports in the ledger that the status page is asked about."""
    sharded_rows: int = 200_000
    """Rows of the file that is loaded in shards."""
    documents: Sequence[int] = (1_000, 100_000, 1_000_000)
    """Rows of the file that has been loaded before a small one is."""
    made_documents: int = 10_000_000
    """Records of an index that is made up, because to load so many rows would take too long."""
    export_rows: int = 50_000
    """Rows of a full export that comes again and again."""
