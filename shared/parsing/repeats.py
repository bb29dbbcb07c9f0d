"""Merge of all rows of a key into one document, where each row alone is a document.

The row that was updated last counts; of equals, the later one in the file. Fields that it leaves
open are taken from the latest row with a value. If two rows are equally late, or if it is unknown
which is later, a row that withdraws consent counts more than one that gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.core import Version, get, put
from shared.firestore.bulk import decode_content, encode_content
from shared.parsing.columnar.parts import NEVER

ROWS_OF_A_KEY = 4
"""Upper bound of the rows of one key that are held. More rows are merged."""

Rank = tuple[int, int]
"""Order of the rows of a key: time of the last change, NEVER if unknown, then place in the file."""


class _Consent(NamedTuple):
    """Values of one consent in some rows."""

    latest: int = NEVER
    """Latest known time of change of these rows."""
    said: bool | None = None
    """Value in the latest rows: False if one of them says False."""
    undated: bool | None = None
    """Value, by the same rule, in the rows whose time of change is unknown."""

    @classmethod
    def of(cls, updated: int, said: bool | None) -> _Consent:
        """Return the consent of one row."""
        if said is None:
            return cls()
        return cls(undated=said) if updated == NEVER else cls(updated, said)

    def __add__(self, other: object) -> _Consent:
        """Return the consent of the rows of both."""
        assert isinstance(other, _Consent)
        latest = max(self.latest, other.latest)
        return _Consent(
            latest,
            _lowest(one.said for one in (self, other) if one.latest == latest),
            _lowest((self.undated, other.undated)),
        )

    @property
    def value(self) -> bool | None:
        """Value that counts; None if no row has one."""
        return _lowest((self.said, self.undated))


@dataclass(slots=True)
class RowOfKey:
    """One row, or several merged rows."""

    line: int
    """Line of the row that counts."""
    rank: Rank
    wire: bytes = field(repr=False)
    """Document, as `shared.firestore.bulk.encoding.encode_content` makes it."""
    open: dict[str, Rank | None]
    """As in `shared.core.folding.Version`."""
    consents: dict[str, _Consent] | None = None
    """Path of a consent -> its values in several rows; None for one row."""

    @property
    def keep(self) -> frozenset[str]:
        """Paths of the fields whose stored values are kept."""
        return frozenset(path for path, rank in self.open.items() if rank is None)

    def outdoes(self, other: RowOfKey, consent: frozenset[str]) -> bool:
        """Return True if nothing of the other row counts beside this one."""
        if other.consents is not None or self.rank < other.rank:
            return False
        if not self.open.keys() <= other.open.keys():
            return False
        updated, before = self.rank[0], other.rank[0]
        return (
            (updated > before != NEVER)
            or consent <= other.open.keys()
            or (updated == before and self.consents is None and self.wire == other.wire)
        )


class Repeats:
    """Holds the rows of keys that repeat until the last row of each key arrives."""

    def __init__(self, consent: frozenset[str]) -> None:
        """Begin without rows; `consent` are the paths of the fields that hold consent."""
        self._consent = consent
        self._rows: dict[int, list[RowOfKey]] = {}

    def add(self, place: int, row: RowOfKey) -> None:
        """Take a row of the key at a place among the plan's keys."""
        before = self._rows.get(place, [])
        consent = self._consent
        if any(one.outdoes(row, consent) for one in before):
            return
        rows = [one for one in before if not row.outdoes(one, consent)]
        rows.append(row)
        self._rows[place] = [self._fold(rows)] if len(rows) > ROWS_OF_A_KEY else rows

    def pop(self, place: int) -> RowOfKey:
        """Return the merged rows of a key, and forget them."""
        rows = self._rows.pop(place)
        return rows[0] if len(rows) == 1 else self._fold(rows)

    def _fold(self, rows: Sequence[RowOfKey]) -> RowOfKey:
        newest, *others = sorted(rows, key=lambda row: row.rank, reverse=True)
        version, consents = self._read(newest)
        for row in others:
            older, said = self._read(row)
            version.take(older)
            consents = {path: consents[path] + said[path] for path in consents}
        for path, consent in consents.items():
            if consent.value is not None:
                put(version.content, path, consent.value)
        wire = encode_content(version.content)
        return RowOfKey(newest.line, newest.rank, wire, version.open, consents)

    def _read(self, row: RowOfKey) -> tuple[Version[Rank], dict[str, _Consent]]:
        content = decode_content(row.wire)
        consents = row.consents
        if consents is None:
            updated = row.rank[0]
            consents = {path: _Consent.of(updated, get(content, path)) for path in self._consent}
        return Version(content, row.rank, {**row.open}), consents


def _lowest(values: Iterable[bool | None]) -> bool | None:
    return min((value for value in values if value is not None), default=None)
