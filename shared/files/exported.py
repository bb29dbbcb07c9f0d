"""Exports that the rows of a corrected file come from, as its column `export` names them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.files.names import parse_import_id

EXAMPLE = "20230424T201230Z"


def micros(at: datetime) -> int:
    """Return a time of export in microseconds since 1970; names hold whole seconds."""
    return int(at.timestamp()) * 1_000_000


class Exports:
    """Reads the cells of one file's column `export`.

    A row of a report of rejected rows is as old as the export that it comes from. The name of the
    file in which it is sent again does not change that.
    """

    def __init__(
        self,
        type: str,
        *,
        latest: datetime | None = None,
        known: Callable[[str], bool] = lambda import_id: True,
    ) -> None:
        """Prepare to read.

        Args:
            type: the type of the file.
            latest: the time of export of the file itself; no row of it is newer.
            known: returns True if the connection has received an export, by its import id.
        """
        self._type = type
        self.latest = latest
        """Time of export of the file; None if its name does not tell."""
        self._known = known
        self._read: dict[str, int | str] = {}

    def read(self, cell: str) -> int | str:
        """Return the time of the export, as `micros`; a sentence if the cell names none."""
        found = self._read.get(cell)
        if found is None:
            found = self._read[cell] = self._look_at(cell)
        return found

    def _look_at(self, cell: str) -> int | str:
        try:
            _, type, at = parse_import_id(cell)
        except ValueError:
            example = f"{self._type}_{EXAMPLE}"
            return f"The cell does not name the export of the row, such as {example}."
        if type != self._type:
            return f"The cell names an export of {type}, and this is a file of {self._type}."
        if self.latest is not None and at > self.latest:
            return "The cell names an export that is later than this file."
        if not self._known(cell):
            return "The cell names an export that this connection has not received."
        return micros(at)
