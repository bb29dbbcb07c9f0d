"""Writes the list of codes: `python -m tools.reference.errors > docs/errors.md`."""

from __future__ import annotations

import sys

from shared.core import CODES, Severity
from tools.reference.code_examples import EXAMPLES

HEADINGS: dict[Severity, tuple[str, str]] = {
    "file": (
        "The file is not loaded",
        "The import is `rejected` and nothing of the file is in Firestore. The file stays where it "
        "was uploaded.",
    ),
    "row": (
        "A row, or a value of it, is not loaded",
        "If the row requires the value, the row is rejected and listed in "
        "`rejected/….rejected.csv`. Otherwise the row is loaded without the value, and the code is "
        "a warning. The other rows are loaded either way, unless more than 5 rows and more than "
        "20 % of them are rejected (`REJECT_FLOOR`, `REJECT_LIMIT`), or all are.",
    ),
    "warning": (
        "Loaded, but worth a look",
        "Warnings are listed in the import's `warnings` and in `reports/….report.json`.",
    ),
    "operator": (
        "For the team that runs the pipeline",
        "The retailer can do nothing about these; the import is `failed` and can be replayed.",
    ),
}


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Codes",
        "",
        "Every message of the pipeline carries one of these codes. They never change their "
        "meaning, so tools may rely on them. (This page is made from the program's own table: "
        "`python -m tools.reference.errors > docs/errors.md`.)",
    ]
    for severity, (heading, about) in HEADINGS.items():
        lines += ["", f"## {heading}", "", about, ""]
        lines += ["| code | what it means | for example | what to do |", "|---|---|---|---|"]
        for name, code in sorted(CODES.items()):
            if code.severity == severity:
                cells = (code.meaning, EXAMPLES[name], code.fix)
                lines.append(f"| `{name}` | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
