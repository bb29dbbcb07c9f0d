"""Protection of cells, so that a spreadsheet shows them and runs nothing, and its removal.

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, also in a CSV file
(https://owasp.org/www-community/attacks/CSV_Injection). An apostrophe in front makes it text. Plain
numbers and telephone numbers, `-12.00` and `+61 491 570 006`, run nothing and are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORMULA = re.compile(
    r"'*\s*(?:[=@\t\r\uff1d\uff0b\uff0d\uff20]|[+-](?![0-9 .,()-]*\Z))", re.DOTALL
)


def guard(cell: str) -> str:
    """Return the cell as it can be written to a file that people open in a spreadsheet."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def guard_all(cells: Iterable[str]) -> list[str]:
    """Return the cells, each changed by `guard`."""
    # Nearly all cells are blank, or begin with a letter or a digit.
    return [cell if not cell or cell[0].isalnum() else guard(cell) for cell in cells]


def unguard(cell: str) -> str:
    """Return the cell that `guard` was given; a cell that needs no guard is returned unchanged."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
