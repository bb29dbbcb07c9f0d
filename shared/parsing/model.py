"""The pydantic model of a row, whose fields read the cells of a whole column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import not_
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import SchemaValidator

from shared.files.types import Column, Context, Kind, Repair
from shared.parsing.csv.text import UNREADABLE

_REMEMBERED = 1024
"""Different cells of a column that are remembered from one call to the next."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ColumnSource:
    """A column of the table in one particular file."""

    column: Column
    kind: Kind
    place: int
    """Place in the header."""

    @property
    def limit(self) -> int | None:
        """Characters above which a text is too long; None for a retailer's own key."""
        return self.column.max_length if self.kind is self.column.kind else None


@lru_cache(maxsize=32)
def build_model(name: str, sources: tuple[ColumnSource, ...], context: Context) -> type[BaseModel]:
    """Return the pydantic model of a row: one field per column, None for a blank cell.

    It takes milliseconds to build. So files of the same columns and day share one.
    """
    fields: dict[str, Any] = {
        source.column.name: (
            (source.kind.annotation(context), ...)
            if source.column.needed
            else (source.kind.annotation(context) | None, None)
        )
        for source in sources
    }
    model: type[BaseModel] = create_model(
        name, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **fields
    )
    return model


@lru_cache(maxsize=32)
def validators(model: type[BaseModel]) -> dict[str, SchemaValidator]:
    """Return what reads one cell of each field of a model."""
    schema: Any = model.__pydantic_core_schema__
    fields = schema["schema"]["fields"]
    return {name: SchemaValidator(field["schema"]) for name, field in fields.items()}


class Fault(NamedTuple):
    """The problem of a cell."""

    code: str
    message: str

    @classmethod
    def of(cls, error: ValidationError) -> Fault:
        """Return the one problem of one cell."""
        (fault,) = error.errors(include_url=False, include_context=False, include_input=False)
        return cls(fault["type"], fault["msg"])


def undecodable(cells: Sequence[str]) -> dict[int, Fault]:
    """Return the places of cells with bytes that are no text, with their fault."""
    if UNREADABLE not in "".join(cells):
        return {}
    fault = Fault(
        "row.undecodable", "The cell holds bytes that are neither UTF-8 nor Windows-1252 text."
    )
    return {place: fault for place, cell in enumerate(cells) if UNREADABLE in cell}


class ModelField:
    """One field of the model, which reads each different cell of its column once."""

    def __init__(self, source: ColumnSource, validator: SchemaValidator) -> None:
        """Prepare; `validator` is the field's own in `validators`."""
        self._is_text = source.kind.is_text and not source.column.needed
        self._repaired = source.kind.repaired if source.kind.repairs else None
        plain = source.kind.plain
        self._is_plain = None if plain is None or source.column.needed else plain.fullmatch
        self._validate = validator.validate_python
        self._blank: dict[str, Fault] = {}
        if source.column.needed:
            self._blank[""] = Fault(
                "row.missing_key" if source.kind.identifies else "row.missing_value",
                "The cell is blank, but the row cannot be loaded without it.",
            )
        self._forget()

    def _forget(self) -> None:
        self._values: dict[str, Any] = {"": None}
        self._faults = {**self._blank}
        self._repairs: dict[str, list[Repair]] = {}

    def read(self, cells: Sequence[str], sure: Sequence[bool] | None = None) -> ReadColumn:
        """Read trimmed cells. Those that are `sure` need not be read: their text is enough."""
        if sure is not None and all(sure):
            return ReadColumn([cell or None for cell in cells], {}, {})
        bad = undecodable(cells)
        if bad:
            cells = ["" if place in bad else cell for place, cell in enumerate(cells)]
        if self._is_text or (self._is_plain is not None and all(map(self._is_plain, {*cells}))):
            return ReadColumn([cell or None for cell in cells], bad, {})
        if len(self._values) > _REMEMBERED:
            self._forget()
        known, validate = self._values, self._validate
        unread = {*cells} if sure is None else {*compress(cells, map(not_, sure))}
        for cell in unread.difference(known):
            try:
                known[cell] = validate(cell)
            except ValidationError as error:
                known[cell] = None
                self._faults[cell] = Fault.of(error)
            else:
                if known[cell] is None and self._blank:
                    self._faults[cell] = self._blank[""]
                # Only texts are repaired, and the result is another text.
                if self._repaired and known[cell] != cell and (done := self._repaired(cell)[1]):
                    self._repairs[cell] = done
        return ReadColumn(
            [*map(known.get, cells, cells)],
            {**_places(cells, self._faults), **bad},
            _places(cells, self._repairs),
        )


class ReadColumn(NamedTuple):
    """The cells of a column after reading."""

    values: Sequence[Any]
    """Values; None for no value."""
    faults: dict[int, Fault]
    """Place -> fault of the bad cells."""
    repairs: dict[int, list[Repair]]
    """Place -> repairs of the cells that were changed before they were read."""


def _places(cells: Sequence[str], of: Mapping[str, T]) -> dict[int, T]:
    if of.keys().isdisjoint(cells):
        return {}
    return {place: of[cell] for place, cell in enumerate(cells) if cell in of}
