"""Commands that replay and release imports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.core import count, printable
from shared.ledger import Import
from shared.ops.command import DONE, NOT_POSSIBLE, Command, Desk, WrongUse, agreed
from shared.ops.ids import Id, id_argument, ids_of
from shared.ops.imports import document_of, show_table
from shared.reporting import FACES

if TYPE_CHECKING:
    from shared.ledger import Status
    from shared.services import Services

SELECTED = 500
"""Imports in one selection at most."""


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    _ids_arguments(parser, selects="--all-failed", words="every import that has failed")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also if the index is lost, so that rows may replace newer data",
    )


def _release_arguments(parser: argparse.ArgumentParser) -> None:
    _ids_arguments(parser, selects="--all-overdue", words="all orders that are overdue")


def _ids_arguments(parser: argparse.ArgumentParser, *, selects: str, words: str) -> None:
    id_argument(parser, nargs="*")
    parser.add_argument(
        selects, dest="selected", action="store_true", help=f"{words}, of --connection or of all"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="do not ask first (a selection, or a replay with --force)",
    )


def _replay(desk: Desk) -> int:
    from shared.scheduling import replay

    parsed = desk.parsed
    question = "Replay with --force? Rows may replace newer data."
    if parsed.force and not parsed.selected and not agreed(desk, question):
        return NOT_POSSIBLE
    action = partial(replay, force=parsed.force)
    return _each(desk, action, selects="failed", verb="Replay")


def _release(desk: Desk) -> int:
    from shared.scheduling import release

    return _each(desk, release, selects="overdue", verb="Release")


def _each(
    desk: Desk,
    action: Callable[[str, str, Services], Import],
    *,
    selects: Status,
    verb: str,
) -> int:
    """Apply an action to every import that was named or selected. A refusal stops no other."""
    from shared.core import NotPossible

    parsed = desk.parsed
    if parsed.selected and parsed.import_id:
        raise WrongUse(f"Name imports or use --all-{selects}, not both.")
    if not parsed.selected and not parsed.import_id:
        raise WrongUse(f"Name the imports, or use --all-{selects}.")
    ids = _selected(desk, selects, verb) if parsed.selected else ids_of(desk)
    if ids is None:
        return NOT_POSSIBLE
    answers: list[dict[str, Any]] = []
    refused = False
    for id in ids:
        try:
            done = action(*id, desk.services)
        except NotPossible as error:
            refused = True
            answers.append({"connection": id[0], "import": id[1], "error": str(error)})
            if not desk.json:
                print(printable(str(error)), file=sys.stderr)
        else:
            answers.append(document_of(done))
            if not desk.json:
                desk.screen.line(f"{'/'.join(id)} is {done.status}: {done.status_text}")
    if desk.json:
        single = len(answers) == 1 and not parsed.selected
        desk.answer(answers[0] if single else answers)
    return NOT_POSSIBLE if refused else DONE


def _selected(desk: Desk, status: Status, verb: str) -> list[Id] | None:
    """Return the imports with a status, after a person has agreed; None if the person does not."""
    from shared.ledger import Which

    which = Which(connection=desk.parsed.connection, statuses=(status,))
    found = list(desk.services.ledger.newest(which, limit=SELECTED))
    if not found:
        if not desk.json:
            desk.screen.line(f"No import is {FACES[status].words}.")
        return []
    what = f"{verb} {count(len(found), 'import')}?"
    if not agreed(desk, what, show=lambda: show_table(desk, found)):
        return None
    # The oldest first: the file that arrived first is loaded first.
    return [(one.connection, one.import_id) for one in reversed(found)]


COMMANDS: tuple[Command, ...] = (
    *(
        Command(
            path=path,
            words="load ended imports again, from the uploaded files",
            arguments=_replay_arguments,
            carry_out=_replay,
        )
        for path in (("imports", "replay"), ("replay",))
    ),
    *(
        Command(
            path=path,
            words="load orders that wait, without waiting for their customers",
            arguments=_release_arguments,
            carry_out=_release,
        )
        for path in (("imports", "release"), ("release",))
    ),
)
