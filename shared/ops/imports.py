"""Commands that list and show imports."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from shared.core import CODES, about, count, midnight, moment, read_duration, size
from shared.files import TYPES
from shared.files.types import file_type
from shared.ledger import Import
from shared.ops.command import DONE, Command, Desk, connection
from shared.ops.ids import Id, id_argument, ids_of
from shared.reporting import FACES, GROUPS, UNDER_WAY, face_of, place_of, report_names
from shared.terminal import Words

if TYPE_CHECKING:
    from shared.ledger import Status
    from shared.services import Services

LIMIT = 20
"""Imports that are listed by default."""

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
        desk.answer([document_of(one) for one in found])
        return DONE
    if not found:
        desk.screen.line("No imports found.")
        return DONE
    show_table(desk, found)
    if more:
        more_words = f"There are more; list them with --limit {10 * asked.limit}."
        desk.screen.line(Words(more_words, "quiet"))
    return DONE


def show_table(desk: Desk, imports: Sequence[Import]) -> None:
    """Write imports as a table."""
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
    found = list(_existing(desk, ids_of(desk)))
    if desk.json:
        documents = [document_of(one) for one in found]
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
    rows = one.rows
    if rows.read and one.status == "checked":
        yield "rows", f"{rows.read:,} read: {rows.good:,} good, {rows.rejected:,} with errors"
    elif rows.read:
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


def document_of(one: Import) -> dict[str, Any]:
    """Return an import as the answer for a program."""
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
        arguments=lambda parser: id_argument(parser, nargs="+"),
        carry_out=_show,
    ),
)
