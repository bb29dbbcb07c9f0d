"""Writes the page for retailers.

Run `python -m tools.reference.for_retailers > docs/for-retailers.md`.
"""

from __future__ import annotations

import sys

from shared.reporting import Leaflet

_TITLE = "# For retailers: sending export files"
_MORE = (
    "More: [check](check.md) · [formats](formats.md) · [reports](reports.md) · [codes](errors.md)"
)


def page() -> str:
    """Return the page as Markdown: the leaflet of no connection in particular."""
    text = _TITLE
    before = ""
    for line in (*Leaflet().lines(), _MORE):
        text += "\n" if _kind(line) == _kind(before) else "\n\n"
        text += line
        before = line
    return f"{text}\n"


def _kind(line: str) -> str:
    """Return the kind of list that a line is an item of; the line itself if it is none."""
    return "1" if line[:1].isdigit() else "*" if line.startswith("* ") else line


if __name__ == "__main__":
    sys.stdout.write(page())
