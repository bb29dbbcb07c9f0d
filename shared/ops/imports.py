"""Commands about imports: list, show, replay, release, undo."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.core import (
    CODES,
    SettingsError,
    TryAgain,
    about,
    count,
    midnight,
    moment,
    printable,
    read_duration,
    size,
)
from shared.files import DEFAULT_CONNECTION, TYPES, is_connection
from shared.files.types import file_type
from shared.ledger import Import
from shared.ops.command import (
    DONE,
    NOT_POSSIBLE,
    Command,
    Desk,
    WrongUse,
    add_yes,
    agreed,
    connection,
)
from shared.reporting import FACES, GROUPS, UNDER_WAY, face_of, place_of, report_names
from shared.terminal import Words

if TYPE_CHECKING:
    from shared.ledger import Status
    from shared.services import Services
    from shared.undoing import Undone

LIMIT = 20
"""Imports that are listed by default."""
SELECTED = 500
"""Imports in one selection at most."""

Id = tuple[str, str]
"""A connection and the id of an import in it."""


# -- list -------------------------------------------------------------------------------------


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connection", type=connection, help="of this connection only")
    parser.add_argument("--type", choices=TYPES, help="of this type only")
    parser.add_argument(
        "--status",
        action="append",
        choices=(*FACES, *GROUPS),
        metavar="STATUS",
        help=f"with this status; may be given again: {', '.join((*FACES, *GROUPS))}",
    )
    parser.add_argument(
        "--since",
        type=_when,
        metavar="WHEN",
        help="uploaded since a day such as 2026-11-30, or in the last 24h, 90m, 7d",
    )
    parser.add_argument("--until", type=_day, metavar="DAY", help="uploaded on this day or before")
    parser.add_argument(
        "--limit", type=_limit, default=LIMIT, metavar="N", help="at most so many (default: 20)"
    )


def _list(desk: Desk) -> int:
    from shared.ledger import Which

    asked, services = desk.parsed, desk.services
    zones = _zones(services, [asked.connection] if asked.connection else [])
    zone = zones(asked.connection)
    statuses: dict[Status, None] = {}
    for name in asked.status or ():
        statuses |= dict.fromkeys(GROUPS.get(name, (name,)))
    which = Which(
        connection=asked.connection,
        type=asked.type,
        statuses=tuple(statuses),
        since=_since(asked.since, zone, services),
        before=midnight(asked.until + timedelta(days=1), zone) if asked.until else None,
    )
    found = list(services.ledger.newest(which, limit=asked.limit + 1))
    more = len(found) > asked.limit
    found = found[: asked.limit]
    if desk.json:
        desk.answer([_document(one) for one in found])
        return DONE
    if not found:
        desk.screen.line("No imports found.")
        return DONE
    _table(desk, found)
    if more:
        more_words = f"There are more; list them with --limit {10 * asked.limit}."
        desk.screen.line(Words(more_words, "quiet"))
    return DONE


def _table(desk: Desk, imports: Sequence[Import]) -> None:
    zones = _zones(desk.services, {one.connection for one in imports})
    rows = []
    for one in imports:
        status = _status(one.status, one.status_text)
        if one.status == "loading":
            status = Words(f"{status.text} {one.progress.percent} %", status.tone)
        counted = bool(one.rows.read)
        rows.append(
            [
                Words(f"{one.connection}/{one.import_id}"),
                status,
                Words(f"{one.rows.loaded:,}" if counted else "–", right=True),
                Words(
                    f"{one.rows.rejected:,}" if counted else "–",
                    "warn" if one.rows.rejected else "",
                    right=True,
                ),
                Words(moment(one.uploaded_at, zones(one.connection))),
                Words(one.status_text, "quiet"),
            ]
        )
    desk.screen.table(["import", "status", "loaded", "rejected", "uploaded", "what"], rows)


def _status(status: Status, text: str) -> Words:
    """Return a status as sign and words; `text` is the sentence of the status."""
    if status not in FACES:  # a later version's
        return Words(status)
    face = face_of(status, text)
    return Words(f"{face.sign} {face.words}", face.tone)


# -- show -------------------------------------------------------------------------------------


def _show(desk: Desk) -> int:
    found = list(_existing(desk, _ids(desk)))
    if desk.json:
        documents = [_document(one) for one in found]
        desk.answer(documents[0] if len(documents) == 1 else documents)
        return DONE
    for number, one in enumerate(found):
        if number:
            desk.screen.line()
        _tell(desk, one)
    return DONE


def _tell(desk: Desk, one: Import) -> None:
    screen = desk.screen
    zone = _zones(desk.services, [one.connection])(one.connection)
    now = desk.services.now()
    status = _status(one.status, one.status_text)
    screen.line(Words(f"{one.connection}/{one.import_id}", "head"), "  ", status)
    screen.paragraph(one.status_text)
    screen.line()
    screen.facts(list(_facts(one, zone, now, desk.services)))
    if one.error:
        screen.head("Why")
        screen.paragraph(f"{one.error} ", indent="  ", tone="bad")
        if one.error.code in CODES:
            screen.paragraph(f"What to do: {one.error.hint}", indent="  ")
    if one.findings:
        screen.head(f"Findings ({len(one.findings)})")
        for found in one.findings:
            tone = "warn" if found["severity"] == "warning" else "bad"
            parts = (found.get("column"), place_of(found))
            place = ", ".join(part for part in parts if part)
            screen.paragraph(f"{found['code']}  {place}".rstrip(), indent="  ", tone=tone)
            screen.paragraph(str(found["message"]), indent="    ")
    screen.head("What has happened")
    for entry in one.history:
        at = Words(moment(entry.at, zone), "quiet")
        screen.line("  ", at, "  ", _status(entry.status, entry.text))
        screen.paragraph(entry.text, indent="    ")
    step = _next_step(desk, one)
    if step:
        screen.head("Next step")
        screen.line(f"  {step}")


def _facts(
    one: Import, zone: tzinfo, now: datetime, services: Services
) -> Iterator[tuple[str, str]]:
    def at(time: datetime) -> str:
        span = about(time - now)
        return f"{moment(time, zone)} ({f'{span} ago' if time <= now else f'in {span}'})"

    yield "file", f"{one.object}, {size(one.size)}, generation {one.generation}"
    yield "uploaded", at(one.uploaded_at)
    if one.exported_at:
        yield "exported", at(one.exported_at)
    if one.status in UNDER_WAY:
        if one.scheduled_for and one.status in ("received", "scheduled", "waiting"):
            yield "starts", at(one.scheduled_for)
        if one.blocked_by:
            yield "waits for", f"{one.connection}/{one.blocked_by}"
        if one.waits_for and one.status in ("waiting", "blocked", "overdue"):
            yield "deadline", at(one.uploaded_at + services.deployment.orders_deadline)
    if one.paired_with:
        yield "comes after", f"{one.connection}/{one.paired_with}"
    if one.status == "loading":
        yield "progress", f"{one.progress.percent} %, {size(one.progress.bytes_read)} read"
    if one.rows.read:
        rows = one.rows
        orphaned = ""
        if rows.orphaned:
            document, other = file_type(str(one.type)).orphan
            orphaned = f", {count(rows.orphaned, document)} without a known {other}"
        yield (
            "rows",
            f"{rows.read:,} read: {rows.loaded:,} loaded, {rows.unchanged:,} unchanged, "
            f"{rows.outdated:,} outdated, {rows.rejected:,} rejected{orphaned}",
        )
    if one.attempt > 1:
        yield "attempts", str(one.attempt)
    if one.finished_at:
        seconds = f" after {one.seconds:,.1f} s" if one.seconds is not None else ""
        yield "ended", f"{at(one.finished_at)}{seconds}"
    for kind, name in report_names(one).items():
        yield "rejected rows" if kind == "rejected" else kind, name


def _next_step(desk: Desk, one: Import) -> str:
    id = f"{one.connection}/{one.import_id}"
    match one.status:
        case "overdue":
            return f"{desk.command(f'release {id}')}   # or send the {one.waits_for} file"
        case "waiting" | "blocked" if one.waits_for:
            return f"{desk.command(f'release {id}')}   # to load it without its {one.waits_for}"
        case "failed":
            return f"{desk.command(f'replay {id}')}   # once the cause named above is fixed"
        case "rejected":
            return "Send the corrected file under the same name, or run the export again."
        case "loaded_with_rejects":
            return "Fix the rows in the file of rejected rows and send them as the summary says."
        case _:
            return ""


# -- replay and release -----------------------------------------------------------------------


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
    _id_argument(parser, nargs="*")
    parser.add_argument(
        selects, dest="selected", action="store_true", help=f"{words}, of --connection or of all"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="do not ask first (a selection, or a replay with --force)",
    )


def _id_argument(parser: argparse.ArgumentParser, *, nargs: str | None) -> None:
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
    ids = _selected(desk, selects, verb) if parsed.selected else _ids(desk)
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
            answers.append(_document(done))
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
    if not agreed(desk, what, show=lambda: _table(desk, found)):
        return None
    # The oldest first: the file that arrived first is loaded first.
    return [(one.connection, one.import_id) for one in reversed(found)]


# -- undo -------------------------------------------------------------------------------------


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    _id_argument(parser, nargs=None)
    add_yes(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show the effect")


def _undo(desk: Desk) -> int:
    from shared.undoing import undo

    parsed = desk.parsed
    (id,) = _ids(desk)

    def show() -> None:
        _tell_undone(desk, undo(*id, desk.services, dry_run=True), done=False)

    if parsed.dry_run:
        show()
        return DONE
    hint = ", or --dry-run to see the effect"
    if not agreed(desk, f"Undo {'/'.join(id)}?", show=show, hint=hint):
        return NOT_POSSIBLE
    _tell_undone(desk, undo(*id, desk.services), done=True)
    return DONE


def _tell_undone(desk: Desk, undone: Undone, *, done: bool) -> None:
    if desk.json:
        desk.answer({**asdict(undone), "dry_run": not done})
        return
    line, one = desk.screen.line, undone
    id = f"{one.connection}/{one.import_id}"
    line(f"{id} {'is undone' if done else 'would be undone'}:")
    line(f"  {count(one.documents, 'document')} had content from this import")
    line(f"  {one.restored:,} {'got' if done else 'would get'} the content of other exports")
    line(f"  {one.removed:,} {'were' if done else 'would be'} removed: no other export holds them")
    if one.left:
        line(f"  {one.left:,} keep their content: their earlier exports are no longer stored")
        line("    The next file that holds them changes them.")
    line("  consent that this import withdrew stays withdrawn until a later export gives it")
    for name in one.gone:
        line(f"  the file of {name} is missing or cannot be read")
    if done:
        line("If only its name was wrong, upload the file again under the right name.")


# -- parts ------------------------------------------------------------------------------------


def _ids(desk: Desk) -> list[Id]:
    """Read the ids. An id may have its connection before a slash."""
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


def _existing(desk: Desk, ids: Sequence[Id]) -> Iterator[Import]:
    from shared.core import NotPossible

    found = desk.services.ledger.get_many(ids)
    for id in ids:
        if id not in found:
            listed = desk.command(f"imports list --connection {id[0]}")
            raise NotPossible(
                f"There is no import {id[1]} in the connection {id[0]}. See what there is: {listed}"
            )
        yield found[id]


def _document(one: Import) -> dict[str, Any]:
    return {"import": one.import_id, **one.to_document()}


def _zones(services: Services, connections: Sequence[str] | set[str]) -> Callable[..., tzinfo]:
    """Return a function that returns the time zone of each of these connections."""
    from shared.reporting import Zones

    documents = services.ledger.connection_documents(connections) if connections else {}
    return Zones(documents, services).of


def _since(when: date | timedelta | None, zone: tzinfo, services: Services) -> datetime | None:
    if isinstance(when, timedelta):
        return services.now().astimezone(UTC) - when
    return midnight(when, zone) if when else None


def _when(text: str) -> date | timedelta:
    if re.fullmatch(r"[0-9]+[smhd]", text):
        return read_duration("WHEN", text)
    return _day(text)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-30") from None
    if not 1970 <= day.year <= 2999:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1970 and 2999")
    return day


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)


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


_REPLAY = "load ended imports again, from the uploaded files"
_RELEASE = "load orders that wait, without waiting for their customers"
_UNDO = "take an import back: its documents get the content of the other exports"

COMMANDS: tuple[Command, ...] = (
    Command(
        path=("imports", "list"),
        words="list imports, the newest first",
        arguments=_list_arguments,
        carry_out=_list,
        default=True,
    ),
    Command(
        path=("imports", "show"),
        words="show everything about an import: what it waits for, its errors, its history",
        arguments=lambda parser: _id_argument(parser, nargs="+"),
        carry_out=_show,
    ),
    Command(
        path=("imports", "replay"),
        words=_REPLAY,
        arguments=_replay_arguments,
        carry_out=_replay,
    ),
    Command(
        path=("imports", "release"),
        words=_RELEASE,
        arguments=_release_arguments,
        carry_out=_release,
    ),
    Command(
        path=("imports", "undo"),
        words=_UNDO,
        arguments=_undo_arguments,
        carry_out=_undo,
    ),
    Command(
        path=("undo",),
        words=_UNDO,
        arguments=_undo_arguments,
        carry_out=_undo,
    ),
    Command(
        path=("replay",),
        words=_REPLAY,
        arguments=_replay_arguments,
        carry_out=_replay,
    ),
    Command(
        path=("release",),
        words=_RELEASE,
        arguments=_release_arguments,
        carry_out=_release,
    ),
)
