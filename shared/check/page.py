"""The verdicts as one self-contained HTML page, to be mailed or kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2

from shared.check.verdict import Verdict
from shared.core import finalized, size

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    finalize=finalized,
)
_ENVIRONMENT.filters["size"] = size


def page(verdicts: Sequence[Verdict]) -> str:
    """Return the page as HTML."""
    return _ENVIRONMENT.get_template("page.html").render(
        verdicts=verdicts, kinds=("good", "rows", "file"), symbols=("✓", "!", "✗")
    )
