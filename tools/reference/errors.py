"""Writes the list of codes: `python -m tools.reference.errors > docs/errors.md`."""

from __future__ import annotations

import re
import sys

from shared.core import CODES, Deployment, Severity, percent
from tools.reference.code_examples import EXAMPLES
from tools.reference.tables import table

_LIMITS = Deployment()
_SAID = re.compile(
    r" Rows that require this \w+ are rejected; other rows load without it\."
    r"| The (?:row|order) loads without [\w ]+\."
    r"|, so nothing was loaded"
    r"|, and send the row again(?=\.$)"
)
"""Words of a text that are said above its table for all of them."""

NAMES = (
    "The name is refused",
    "Over SFTP the upload fails. The client and the report say why, and the right name if it is "
    "clear. Upload the file under that name, and correct the export job. Its time must be in UTC: "
    "local time with a Z is hours off. [Right names](formats.md#every-file) are like "
    "`customers_20230424T201230Z.csv`.",
)
"""Heading of the codes of names, and what to do about all of them."""
HEADINGS: dict[Severity, tuple[str, str]] = {
    "file": (
        "The file is not loaded",
        "Nothing was loaded. The file is still where it was uploaded. Fix it, then upload it "
        "again.",
    ),
    "row": (
        "The row is not loaded",
        f"The other rows are loaded. If more than {_LIMITS.reject_floor} rows, and more than "
        f"{percent(_LIMITS.reject_limit)} of all, have errors (`REJECT_FLOOR`, `REJECT_LIMIT`), or "
        "all have, the file is rejected. [Fix the rejected rows]"
        "(reports.md#fixing-rejected-rows), then send them again.",
    ),
    "warning": (
        "Loaded, but check it",
        "If the row needs a value that cannot be read, the row is rejected. Otherwise it is loaded "
        "without the value.",
    ),
    "operator": (
        "For operators",
        "The retailer can do nothing. The import is `failed` until it is replayed.",
    ),
}


def page() -> str:
    """Return the page as Markdown."""
    heading, about = NAMES
    parts = [
        "# Codes",
        "Every message has one of these codes. A code never changes its meaning.",
        f"## {heading}",
        about,
        table(("code", "meaning", "example"), (row[:3] for row in _rows(names=True))),
    ]
    for severity, (heading, about) in HEADINGS.items():
        parts += [
            f"## {heading}",
            about,
            table(("code", "meaning", "example", "what to do"), _rows(severity)),
        ]
    return "\n\n".join(parts) + "\n"


def _rows(severity: Severity = "file", *, names: bool = False) -> list[tuple[str, str, str, str]]:
    """Return code, meaning, example and fix of the codes of names, or of all other codes."""
    return [
        (f"`{name}`", _SAID.sub("", code.meaning), EXAMPLES[name], _SAID.sub("", code.fix))
        for name, code in sorted(CODES.items())
        if code.severity == severity and name.startswith("name.") == names
    ]


if __name__ == "__main__":
    sys.stdout.write(page())
