"""How the pages are made of templates, and what a browser may do with them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from shared.core import CODES, finalized, phrases
from shared.files import TYPES
from shared.reporting import FACES, GROUPS, face_of

_FOLDER = Path(__file__).parent
STYLE = (_FOLDER / "style.css").read_text()
SCRIPT = (_FOLDER / "refresh.js").read_text()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(STYLE)}",
        f"script-src {_hash(SCRIPT)}",
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The content security policy: nothing but this page's own style and script, by their hashes."""


def render(template: str, **values: Any) -> str:
    """Return a page as HTML."""
    return _ENVIRONMENT.get_template(template).render(**values)


def _moment(at: datetime | None, zone: tzinfo) -> Markup:
    """Write a time with its zone, and the same in UTC for the mouse and for programs."""
    if at is None:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), phrases.moment(at), phrases.moment(at, zone)
    )


def _ago(at: datetime, now: datetime) -> str:
    """Say how far a time is from now."""
    span = phrases.about(now - at)
    return f"{span} ago" if at <= now else f"in {span}"


_GROUP_WORDS: Mapping[str, str] = {
    "under_way": "under way",
    "ended_well": "ended well",
    "needs_a_look": "needs a look",
}

_REPORT_WORDS: Mapping[str, tuple[str, str]] = {
    "rejected": ("Rejected rows", "CSV: the rows to mend and send again"),
    "report": ("Report", "JSON: the verdict on the file, for programs"),
    "summary": ("Summary", "text: the verdict on the file, for people"),
}

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    finalize=finalized,
)
_ENVIRONMENT.filters.update(
    moment=_moment,
    ago=_ago,
    span=phrases.length,
    every=phrases.every,
    size=phrases.size,
    number="{:,}".format,
)
_ENVIRONMENT.globals.update(
    STYLE=Markup(STYLE),
    SCRIPT=Markup(SCRIPT),
    FACES=FACES,
    face_of=face_of,
    GROUPS={name: _GROUP_WORDS[name] for name in GROUPS},
    TYPES=TYPES,
    CODES=CODES,
    REPORTS=_REPORT_WORDS,
    count=phrases.count,
    timedelta=timedelta,
    refresh=None,
    escape=escape,
)
