"""Ids of imports on a command line: the argument, its reading and its completion."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.core import SettingsError, TryAgain
from shared.files import DEFAULT_CONNECTION, is_connection
from shared.ops.command import Desk, WrongUse, connection

if TYPE_CHECKING:
    from shared.ledger import Status
    from shared.services import Services

Id = tuple[str, str]
"""A connection and the id of an import in it."""


def id_argument(parser: argparse.ArgumentParser, *, nargs: str | None) -> None:
    """Add the ids of imports, and `--connection`, to a command."""
    action = parser.add_argument(
        "import_id",
        metavar="IMPORT",
        nargs=nargs,
        help="id of the import, e.g. au/orders_20230424T201230Z, or orders_20230424T201230Z",
    )
    action.completes = "imports"  # type: ignore[attr-defined]
    parser.add_argument(
        "--connection",
        type=connection,
        help=f"the connection it belongs to (default: {DEFAULT_CONNECTION})",
    )


def ids_of(desk: Desk) -> list[Id]:
    """Return the ids in the command line. An id may have its connection before a slash.

    Raises:
        WrongUse: a text is no id, or is of another connection than `--connection`.
    """
    ids = []
    given = desk.parsed.import_id
    for text in [given] if isinstance(given, str) else given:
        first, slash, rest = text.partition("/")
        if is_connection(first) and rest and "/" not in rest:
            if desk.parsed.connection not in (None, first):
                raise WrongUse(f"{text} is not of the connection {desk.parsed.connection}.")
            ids.append((first, rest))
        elif slash or not text:
            raise WrongUse(f"{text!r} is not the id of an import: CONNECTION/IMPORT or IMPORT.")
        else:
            ids.append((desk.parsed.connection or DEFAULT_CONNECTION, text))
    return ids


def ids_for(path: Sequence[str], services: Services) -> list[str]:
    """Return ids that fit a command, for the completion of a command line."""
    from shared.ledger import Which

    statuses: tuple[Status, ...] = ()
    if path[-1:] == ["release"]:
        statuses = ("overdue", "waiting", "blocked", "scheduled")
    elif path[-1:] == ["undo"]:
        statuses = ("loaded", "loaded_with_rejects", "failed")
    elif path[-1:] == ["replay"]:
        statuses = ("failed", "rejected", "loaded_with_rejects", "loaded")
    try:
        found = services.ledger.newest(Which(statuses=statuses), limit=50)
        return [f"{one.connection}/{one.import_id}" for one in found]
    except (SettingsError, TryAgain):
        return []
