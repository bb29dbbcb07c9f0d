"""Definition of a kind of cell: its accepted form in a file, and its value in a document.

A kind gets a cell that is trimmed and not blank. It returns a value that Firestore can hold, or
raises a `bad_cell`. The message describes the form of the cell and never quotes it.

Every function knows the types, but few read cells. So numpy and pydantic are imported with the
first cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from shared.files.cells.damage import Repair, repaired

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shared.core.arrays import Mask, Numbers, Octets

    ReadNumbers = Callable[
        [Octets, npt.NDArray[np.int64]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
    ]


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about a file that its cells' meaning depends on."""

    zone: ZoneInfo
    """Zone of times without a zone."""
    delimiter: str = ","
    exported_on: date | None = None
    """Day of the export in that zone; None if unknown."""


REMEMBERED = 32_768
"""Cells whose values are remembered, by kind."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """One kind of cell."""

    name: str
    """Name in a word or two, as in docs/formats.md."""
    form: str
    """Accepted form, in the words of docs/formats.md."""
    type: Any
    """Type of the value in Python."""
    examples: tuple[tuple[str, Any], ...]
    """Accepted cells and their values; times as in Australia/Sydney."""
    read: Callable[[str], Any] | None = None
    """Reads a cell; None if the text is the value."""
    read_in: Callable[[str, Context], Any] | None = None
    """Reads a cell whose meaning depends on the file; used instead of `read`."""
    repairs: tuple[Repair, ...] = ()
    """Changes to a cell that are undone before the cell is read."""
    plain: re.Pattern[str] | None = None
    """Pattern of cells that are certainly unchanged by reading. Other cells may be unchanged
    too."""
    blanks: frozenset[str] = frozenset()
    """Texts that count as a blank cell."""
    certain: Callable[[Octets, Numbers, Context], Mask] | None = None
    """Returns, for many cells at once, True for cells that are certainly unchanged by reading."""
    moments: Callable[[Octets, ZoneInfo], Numbers] | None = None
    """Reads many cells of `MOMENT_BYTES` as seconds since 1970, as `read_in` would; UNREAD where
    that is not certain. If `certain` is set too, the value of such a cell is its day."""
    blank: Callable[[Octets, Numbers], Mask] | None = None
    """Returns True for cells that certainly have no value, for kinds with `moments`."""
    numbers: ReadNumbers | None = None
    """Reads many cells of at most `NUMBER_BYTES` at once, as `read` would: as whole numbers or as
    doubles; UNREAD and NaN where neither is certain."""
    lower: bool = False
    """True if a certain cell of the column that is read becomes the same text in lower case."""
    identifies: bool = False
    """True if the value names a document, so that a row without it cannot be used."""

    def reader(self, context: Context) -> Callable[[str], Any]:
        """Return the function that reads one cell of a file. A result of None means no value."""
        read_in, read, repairs = self.read_in, self.read or str, self.repairs
        if read_in is not None:
            return lambda text: read_in(text, context)
        if not repairs:
            return read

        def repair_and_read(text: str) -> Any:
            text, _ = repaired(text, repairs)
            return read(text) if text else None

        return repair_and_read

    def repaired(self, text: str) -> tuple[str, list[Repair]]:
        """Return a trimmed cell without the changes that are undone, and the repairs."""
        return repaired(text, self.repairs)

    @property
    def is_read(self) -> bool:
        """False if pydantic makes the value of a cell from its text alone."""
        return self.read is not None or self.read_in is not None

    @property
    def is_text(self) -> bool:
        """True if the text of a cell is its value."""
        return self.type is str and not self.is_read

    def annotation(self, context: Context) -> Any:
        """Return the type for a field of a pydantic model."""
        if not self.is_read:
            return self.type
        from pydantic import PlainValidator

        return Annotated[self.type, PlainValidator(self.reader(context))]


def bad_cell(code: str, message: str) -> ValueError:
    """Return the error to raise for a cell that has no value of its kind."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError(code, message)


def vectorized(name: str) -> Callable[..., Any]:
    """Return the function of that name in `shared.files.cells.vectorized`, for many cells."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module("shared.files.cells.vectorized"), name)(*arguments, **named)

    return call
