"""Renders the pages from templates, and defines their content security policy."""

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
from shared.reporting import FACES, GROUPS, face_of, place_of
from shared.status.retailers import tone_of

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
"""Content security policy: only this page's style and script are allowed, by their hashes."""


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template, e.g. `overview.html`, with these values."""
    return _ENVIRONMENT.get_template(template).render(**values)


def _moment(time: datetime | None, zone: tzinfo) -> Markup:
    """Return a time in its zone as HTML, with the time in UTC as tooltip and for programs."""
    if time is None:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        time.isoformat(timespec="seconds"), phrases.moment(time), phrases.moment(time, zone)
    )


def _ago(time: datetime, now: datetime) -> str:
    """Return a time relative to now, e.g. `5 minutes ago`, `in 2 hours`."""
    span = phrases.about(now - time)
    return f"{span} ago" if time <= now else f"in {span}"


_GROUP_WORDS: Mapping[str, str] = {
    "under_way": "under way",
    "ended_well": "ended well",
    "needs_a_look": "needs a look",
}

_REPORT_WORDS: Mapping[str, tuple[str, str]] = {
    "rejected": ("Rejected rows", "CSV: the rows to fix and send again"),
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
    place_of=place_of,
    tone_of=tone_of,
    GROUPS={name: _GROUP_WORDS[name] for name in GROUPS},
    TYPES=TYPES,
    CODES=CODES,
    REPORTS=_REPORT_WORDS,
    count=phrases.count,
    timedelta=timedelta,
    refresh=None,
    escape=escape,
)
