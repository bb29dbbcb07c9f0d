"""Masks personal data in cells that the status page shows."""

from __future__ import annotations

from shared.files.types import FileType


def mask(text: str) -> str:
    """Return a text with `•` for each letter and digit, so that only its shape is visible.

    `31/02/2023` becomes `••/••/••••`, `ana@example.com` becomes `•••@•••••••.•••`.
    """
    return "".join("•" if character.isalnum() else character for character in text)


def shown(type_: FileType | None, column: str, cell: str, *, reveal: bool) -> str:
    """Return a cell unchanged if `reveal`, or if its column has no personal data; else masked.

    Cells of unknown columns, and of files of unknown types, are masked.
    """
    plain = reveal or (type_ is not None and type_.shows(column))
    return cell if plain else mask(cell)
