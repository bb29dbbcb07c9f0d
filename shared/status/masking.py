"""Masks the cells of an export file that may say who a person is."""

from __future__ import annotations

from shared.files.types import FileType


def mask(text: str) -> str:
    """Hide letters and digits and keep the rest, so that the shape of a value can be judged.

    `31/02/2023` becomes `••/••/••••`, `ana@example.com` becomes `•••@•••••••.•••`.
    """
    return "".join("•" if character.isalnum() else character for character in text)


def shown(type_: FileType | None, column: str, cell: str, *, reveal: bool) -> str:
    """Return a cell of a file of a type as it may be shown.

    A cell is masked unless its column says that it is not personal, so those of columns that
    nobody knows are masked first of all.
    """
    plain = reveal or (type_ is not None and type_.shows(column))
    return cell if plain else mask(cell)
