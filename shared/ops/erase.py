"""Command `erase`: its arguments, and the text of its result."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from shared.core import count, moment
from shared.files import DEFAULT_CONNECTION
from shared.ops.command import (
    DONE,
    NOT_POSSIBLE,
    Command,
    Desk,
    add_yes,
    agreed,
    connection,
    make_sure_of_a_person,
)

if TYPE_CHECKING:
    from shared.privacy import Erasure

STILL_TO_DO = (
    "Erase the person in Apparel21 as well: the next export that holds them loads them again.",
    "Deleted objects (soft delete) and earlier states of Firestore (backups, point-in-time "
    "recovery) are kept for 7 days and then deleted automatically.",
)
"""Steps that this command cannot take. They are printed each time."""

_WORDS = (
    "erase a person from the documents, from every file and report of the connection, and from the "
    "index; then check that nothing is left"
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "person", type=_person, metavar="PERSON", help="id of the customer, e.g. 65432"
    )
    parser.add_argument(
        "--connection",
        type=connection,
        default=DEFAULT_CONNECTION,
        help=f"the connection whose customer it is (default: {DEFAULT_CONNECTION})",
    )
    parser.add_argument(
        "--email",
        action="append",
        default=[],
        help="another address of the person, not in Firestore; may be given again",
    )
    parser.add_argument(
        "--by", default=None, help="your name, for the record (default: the user logged in)"
    )
    parser.add_argument(
        "--delete-unreadable",
        action="store_true",
        help="delete objects that cannot be searched because they are not CSV text",
    )
    add_yes(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be erased")


def _erase(desk: Desk) -> int:
    from shared.core import NotPossible
    from shared.privacy import erase

    parsed = desk.parsed
    question = f"Erase {parsed.person} of {parsed.connection}? This cannot be undone."
    hint = ", or --dry-run to see the effect"
    if not parsed.dry_run:
        make_sure_of_a_person(desk, question, hint=hint)
    _make_sure_of_connection(desk)
    refused = False

    def agree(preview: Erasure) -> bool:
        nonlocal refused
        if preview.unknown and not (preview.unreadable and parsed.delete_unreadable):
            raise NotPossible(_unknown(desk, preview))

        def show() -> None:
            for line in _told(preview, dry_run=True):
                desk.screen.line(line)

        refused = not agreed(desk, question, show=show, hint=hint)
        return not refused

    done = erase(
        parsed.connection,
        parsed.person,
        desk.services,
        by=parsed.by or getpass.getuser(),
        emails=frozenset(parsed.email),
        delete_unreadable=parsed.delete_unreadable,
        dry_run=parsed.dry_run,
        agree=agree,
    )
    if refused:
        return NOT_POSSIBLE
    if parsed.dry_run and done.unknown and not done.unreadable:
        raise NotPossible(_unknown(desk, done))
    if desk.json:
        answer = {**asdict(done), "dry_run": parsed.dry_run, "proved": done.proved}
        desk.answer({**answer, "still_to_do": STILL_TO_DO})
    else:
        for line in _told(done, dry_run=parsed.dry_run):
            desk.screen.line(line)
    return DONE if done.proved or parsed.dry_run else NOT_POSSIBLE


def _make_sure_of_connection(desk: Desk) -> None:
    """Make sure that the connection exists.

    Raises:
        NotPossible: there is no such connection.
    """
    from shared.core import NotPossible

    name = desk.parsed.connection
    known = [each for each, _, _ in desk.services.ledger.connections()]
    if name not in known:
        listed = desk.command("connections list")
        raise NotPossible(f"There is no connection {name}. See what there is: {listed}")


def _unknown(desk: Desk, looked: Erasure) -> str:
    parsed = desk.parsed
    text = (
        f"Nothing about {parsed.person} was found in the connection {parsed.connection}, and no "
        "erasure of that id is on record. Nothing was done. Check the id and the connection."
    )
    if looked.unreadable:
        names = ", ".join(name for name, _ in looked.unreadable)
        text += f" Cannot be searched: {names}. Delete these with --delete-unreadable."
    return text


def _told(done: Erasure, *, dry_run: bool) -> list[str]:
    """Return the result as lines for a person."""
    erased = _counted(done.erased)
    lines = [f"{'Would erase' if dry_run else 'Erased'}: {erased or 'nothing'}."]
    lines += [f"  {name}" for name in done.objects]
    lines += [f"Erased before: {moment(at)}." for at in done.earlier]
    looked = (
        f"{done.looked['objects']:,} objects with {done.looked['rows']:,} rows, "
        f"{count(done.looked['documents'], 'document')} of the ledger, and the documents of the "
        "person"
    )
    if dry_run:
        lines.append(f"Searched {looked}.")
    elif any(done.left.values()):
        lines.append(f"NOT DONE: {_counted(done.left)} found again. Run the command again.")
    elif done.begun:
        lines.append(
            f"NOT DONE: {', '.join(done.begun)} was loaded meanwhile and may have written the "
            "person again. Run the command again when no file is being loaded."
        )
    elif done.moved:
        lines.append(
            f"NOT DONE: {count(done.moved, 'object')} moved while the bucket was searched. "
            "Run the command again."
        )
    else:
        lines.append(f"Searched again {looked}: nothing is left.")
    lines += [f"Cannot be searched: {name}: {why}" for name, why in done.unreadable]
    if done.unreadable:
        lines.append("Delete these yourself, or run the command again with --delete-unreadable.")
    if done.record:
        lines.append(f"The record of this erasure is {done.record}.")
    return [*lines, *STILL_TO_DO]


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(
        count(number, *_NOUNS.get(name, (name.removesuffix("s"),)))
        for name, number in sorted(found.items())
    )


_NOUNS = {
    "mentions": ("order number in reports and ledger", "order numbers in reports and ledger"),
    "objects": ("changed object", "changed objects"),
}


def _person(text: str) -> str:
    if not text.strip() or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the id of a customer")
    return text.strip()


COMMANDS: tuple[Command, ...] = (
    Command(path=("erase",), words=_WORDS, arguments=_arguments, carry_out=_erase),
)
