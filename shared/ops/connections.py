"""Commands about connections: list them with their feeds, add one, change its settings."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.core import CONNECTION_FIELDS, CONNECTION_MAPS, about, every, moment
from shared.files import DEFAULT_CONNECTION, TYPES, UPLOAD_FOLDERS
from shared.ops.command import DONE, Command, Desk, WrongUse, connection
from shared.terminal import Words

if TYPE_CHECKING:
    import google.cloud.storage as storage

    from shared.reporting import Connection, FeedState, Zones


def _list(desk: Desk) -> int:
    from shared.reporting import Zones, connections_of, feeds_of

    services = desk.services
    wanted = desk.parsed.name
    listed = [one for one in connections_of(services) if not wanted or one.name in wanted]
    unknown = sorted(set(wanted) - {one.name for one in listed})
    if unknown:
        raise unknown_connection(desk, *unknown)
    zones = Zones.of_connections(listed, services)
    feeds: dict[str, list[FeedState]] = {one.name: [] for one in listed}
    for feed in feeds_of(listed, zones, services):
        feeds[feed.connection].append(feed)
    if desk.json:
        desk.answer(
            [
                {
                    "connection": one.name,
                    "settings": one.document or {},
                    "error": str(zones.wrong[one.name]) if one.name in zones.wrong else None,
                    "feeds": {feed.type: _feed_document(feed) for feed in feeds[one.name]},
                }
                for one in listed
            ]
        )
        return DONE
    if not listed:
        add = desk.command("connections add NAME")
        desk.screen.line(f"No connections yet; the first file makes one, or: {add}")
    for number, one in enumerate(listed):
        if number:
            desk.screen.line()
        _tell(desk, one, zones, feeds[one.name])
    return DONE


def _tell(desk: Desk, one: Connection, zones: Zones, feeds: Sequence[FeedState]) -> None:
    screen, zone, now = desk.screen, zones.of(one.name), desk.services.now()
    screen.line(Words(one.name, "head"))
    if one.name in zones.wrong:
        screen.paragraph(f"Nothing is loaded: {zones.wrong[one.name]}.", indent="  ", tone="bad")
    known = zones.settings.get(one.name)
    if known is not None and known.notify_error is not None:
        screen.paragraph(f"Nobody is mailed: {known.notify_error}.", indent="  ", tone="bad")
    settings = ", ".join(_written(one.document or {})) or "those of the deployment"
    words = f"settings: {settings}; times are those of {zone}"
    screen.paragraph(words, indent="  ", tone="quiet")
    for feed in feeds:
        came = "no file yet"
        if feed.received_at:
            came = f"{moment(feed.received_at, zone)} ({about(now - feed.received_at)} ago)"
        due = f"expected {every(feed.cadence)}" if feed.cadence else "no cadence"
        state = Words("✓ on time", "good") if feed.cadence else Words("not watched")
        if feed.missing:
            state = Words("! missing", "bad")
        screen.line(f"  {feed.type:<10} {came:<43}  {due:<25}  ", state)


def unknown_connection(desk: Desk, *names: str) -> WrongUse:
    """Return the error about connections that do not exist."""
    add = desk.command(f"connections add {names[0]}")
    return WrongUse(f"There is no connection {', '.join(names)}. Add it: {add}")


def _feed_document(feed: FeedState) -> dict[str, Any]:
    return {
        "receivedAt": feed.received_at,
        "cadence": _short(feed.cadence) if feed.cadence else None,
        "missing": feed.missing,
    }


def _put(desk: Desk, *, new: bool) -> int:
    """Change a connection's document. Settings that could not be read again are not written."""
    from shared.ledger import LedgerTransaction

    name = desk.parsed.name
    changes = [_assignment(text) for text in desk.parsed.setting]
    if not new and not changes:
        raise WrongUse(f"Say what to set: key=value, with one of {', '.join(CONNECTION_FIELDS)}.")

    def change(ledger: LedgerTransaction) -> Mapping[str, Any]:
        document = ledger.connection(name)
        if new and document is not None:
            raise WrongUse(
                f"{name} is there already. Change it: "
                f"{desk.command(f'connections set {name} key=value')}"
            )
        if not new and document is None:
            raise WrongUse(
                f"{name} has no settings. Add it: "
                f"{desk.command(f'connections add {name} key=value')}"
            )
        changed = _changed(document or {}, changes)
        settings = desk.services.settings_from(name, changed)
        if settings.notify_error is not None:
            raise settings.notify_error
        ledger.put_connection(name, changed)
        return changed

    document = desk.services.ledger.transact(change)
    trouble = _make_folders(name, desk.services.bucket) if new else None
    if desk.json:
        desk.answer({"connection": name, "settings": document})
        return DONE
    settings = ", ".join(_written(document)) or "with the settings of the deployment"
    desk.screen.line(f"{name} is {'added' if new else 'changed'}: {settings}.")
    if new:
        folder = "pending/" if name == DEFAULT_CONNECTION else f"pending/{name}/"
        desk.screen.paragraph(
            f"Its files go to {folder}. Next, give the retailer a login for SFTP: "
            "deploy/gateway/gateway.sh add-retailer --help"
        )
    if trouble:
        desk.screen.paragraph(
            f"Its folders could not be made. {trouble}. Make them over SFTP: mkdir pending/{name}",
            tone="bad",
        )
    return DONE


def _make_folders(name: str, bucket: storage.Bucket) -> str | None:
    """Create the connection's upload folders, so that an SFTP client finds them before any file.

    Returns the error if they could not be created. Files can be uploaded even then.
    """
    from shared.core import TryAgain
    from shared.gcp.storage import Changed, write_object

    for folder in UPLOAD_FOLDERS if name != DEFAULT_CONNECTION else ():
        try:
            write_object(
                bucket,
                f"{folder}/{name}/",
                b"",
                content_type="application/x-directory",
                replacing=0,
            )
        except Changed:
            continue  # the folder is there
        except TryAgain as error:
            return str(error)
    return None


Assignment = tuple[tuple[str, ...], str]
"""Key, one or two levels deep, and the value as written. An empty value removes the setting."""


def _assignment(text: str) -> Assignment:
    key, equals, value = text.partition("=")
    first, dot, second = key.strip().partition(".")
    if not equals:
        raise WrongUse(f"{text!r} is not key=value.")
    if first not in CONNECTION_FIELDS:
        raise WrongUse(f"Unknown setting {first!r}. {_suggestion(first, CONNECTION_FIELDS)}")
    if first in CONNECTION_MAPS:
        if not second:
            raise WrongUse(f"{first} has parts: write {first}.NAME=value.")
        if first == "cadence" and second not in TYPES:
            raise WrongUse(f"Unknown type of file {second!r}. {_suggestion(second, TYPES)}")
        return (first, second), value.strip()
    if dot:
        raise WrongUse(f"{first} has no parts: write {first}=value.")
    return (first,), value.strip()


def _suggestion(word: str, known: Sequence[str]) -> str:
    """Return a sentence with the known word that is nearest, or with all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}."


def _changed(document: Mapping[str, Any], changes: Sequence[Assignment]) -> dict[str, Any]:
    changed = dict(document)
    for (first, *rest), value in changes:
        if not rest:
            changed[first] = value
        else:
            before = changed.get(first)
            part = {**(before if isinstance(before, Mapping) else {}), rest[0]: value}
            changed[first] = {key: each for key, each in part.items() if each != ""}
    return {key: value for key, value in changed.items() if value not in ("", {})}


def _written(document: Mapping[str, Any]) -> list[str]:
    """Return settings as they are typed. Other fields, such as a team's notes, are left out."""
    written = []
    for key in CONNECTION_FIELDS:
        value = document.get(key)
        if isinstance(value, Mapping):
            written += [f"{key}.{part}={_typed(value[part])}" for part in sorted(value)]
        elif value is not None:
            written.append(f"{key}={value}")
    return written


def _typed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for unit, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=connection, metavar="NAME", help="the connection's name")
    parser.add_argument(
        "setting",
        nargs="*",
        metavar="key=value",
        help="a setting, e.g. timeZone=Pacific/Auckland, currency=NZD, rejectLimit=10%%, "
        "cadence.customers=1d, aliases.CUST_MOBILE=MOBILE, "
        "notify.to=ann@example.com,bo@example.com; an empty value removes a setting. Settings: "
        f"{', '.join(CONNECTION_FIELDS)}",
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        path=("connections", "list"),
        words="list connections: settings, cadence, and the last file of each type",
        arguments=lambda parser: parser.add_argument(
            "name", type=connection, nargs="*", metavar="NAME", help="only these"
        ),
        carry_out=_list,
        default=True,
    ),
    Command(
        path=("connections", "add"),
        words="add a connection",
        arguments=_name,
        carry_out=partial(_put, new=True),
    ),
    Command(
        path=("connections", "set"),
        words="change settings of a connection",
        arguments=_name,
        carry_out=partial(_put, new=False),
    ),
)
