"""Protection of cells, so that a spreadsheet shows them and runs nothing, and its removal.

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, also in a CSV file
(https://owasp.org/www-community/attacks/CSV_Injection). An apostrophe in front makes it text. Plain
numbers and telephone numbers, `-12.00` and `+61 491 570 006`, run nothing and are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BEGINS = r"'*\s*(?:[=@\t\r\uff1d\uff0b\uff0d\uff20]|[+-](?![0-9 .,()-]*%s))"
_FORMULA = re.compile(_BEGINS % r"\Z", re.DOTALL)
_AMONG_CELLS = re.compile(r"\0" + _BEGINS % r"\0", re.DOTALL)
"""A formula among cells with a zero character before and after each."""


def guard(cell: str) -> str:
    """Return the cell as it can be written to a file that people open in a spreadsheet."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def guard_all(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells, each changed by `guard`."""
    # Most rows hold none. The zero character, which no cell holds, is between the cells.
    if not _AMONG_CELLS.search("\0" + "\0".join(cells) + "\0"):
        return cells
    return [guard(cell) for cell in cells]


def unguard(cell: str) -> str:
    """Return the cell that `guard` was given; a cell that needs no guard is returned unchanged."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
