"""What the status page shows of the ledger, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

import jinja2

from shared.ledger import Import, Status
from shared.names import TYPES, is_connection
from shared.services import Services
from shared.wording import moment

PAGE_SIZE = 100
"""Imports on one page."""

SYMBOLS: dict[Status, str] = {
    "received": "◌",
    "waiting": "…",
    "scheduled": "◷",
    "blocked": "‖",
    "overdue": "!",
    "loading": "▸",
    "loaded": "✓",
    "loaded_with_rejects": "✓!",
    "checked": "✓?",
    "rejected": "✗",
    "failed": "✗",
    "superseded": "↷",
}
"""Status -> a sign, so that nobody has to tell colours apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader wants to see; an empty text means everything."""

    connection: str = ""
    type: str = ""
    status: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """Read the query of the address; what makes no sense there is left out."""
        connection, type, status = (
            query.get(name, "") for name in ("connection", "type", "status")
        )
        return cls(
            connection=connection if is_connection(connection) else "",
            type=type if type in TYPES else "",
            status=status if status in get_args(Status) else "",
        )


def render(filters: Filters, services: Services) -> str:
    """Return the page as HTML.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    imports = _newest(filters, services)
    return _PAGE.render(
        imports=imports,
        filters=filters,
        types=TYPES,
        statuses=get_args(Status),
        symbols=SYMBOLS,
        now=services.now(),
        page_size=PAGE_SIZE,
    )


def _newest(filters: Filters, services: Services) -> list[Import]:
    equals = {name: value for name in ("type", "status") if (value := getattr(filters, name))}
    return list(
        services.ledger.newest(
            connection=filters.connection or None, equals=equals, limit=PAGE_SIZE
        )
    )


def _moment(at: datetime | None) -> str:
    return moment(at) if at else "–"


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["moment"] = _moment
_PAGE = _ENVIRONMENT.get_template("status_page.html")
