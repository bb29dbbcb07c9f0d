"""Rules for when an import may start, and which file it waits for.

A type names the type that its files wait for (`FileType.waits_for`: orders wait for customers). A
file and the file that it waits for are a pair. The second of them is called the awaited file here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core import OrdersWithoutCustomers
from shared.files import Mode, make_import_id, parse_import_id
from shared.files.types import file_type, going_after
from shared.ledger import ENDED, LOADED, PENDING, Import


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Lengths of time that pairing uses."""

    delay: timedelta
    """Time from the upload of the awaited file to the earliest start of the files that wait for
    it."""
    window: timedelta
    """Time by which the awaited file may be older than the waiting file."""
    deadline: timedelta
    """Time from the upload of a waiting file until it is overdue."""
    without_customers: OrdersWithoutCustomers


@dataclass(frozen=True, slots=True)
class Ready:
    """The import may start now. `alone` is True if it starts without the awaited file."""

    alone: bool = False


@dataclass(frozen=True, slots=True)
class NotBefore:
    """The import may start at a later time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Waits:
    """The awaited file has not arrived."""


@dataclass(frozen=True, slots=True)
class BlockedBy:
    """Another import must end first."""

    import_id: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """The file that the import waits for has not arrived, or has not ended, within the deadline."""


StartDecision = Ready | NotBefore | Waits | BlockedBy | Overdue


def matching_id(import_id: str, candidates: Iterable[str], *, window: timedelta) -> str | None:
    """Return the awaited file of a waiting file: the newest that was exported no later.

    Args:
        import_id: the waiting file.
        candidates: import ids of files of the same connection. Other types and modes are ignored.
        window: the time by which the awaited file may be older.
    """
    mode, type, exported_at = parse_import_id(import_id)
    matching: tuple[datetime, str] | None = None
    for candidate in candidates:
        candidate_mode, candidate_type, at = parse_import_id(candidate)
        if (
            candidate_mode == mode
            and candidate_type == file_type(type).waits_for
            and _floor(exported_at, window) <= at <= exported_at
            and (matching is None or at > matching[0])
        ):
            matching = (at, candidate)
    return matching[1] if matching else None


def awaited_range(import_id: str, *, window: timedelta) -> tuple[str, str]:
    """Return the first and the last import id that the awaited file of a waiting file may have.

    Import ids of one type and mode sort by time, so this is one range of document ids.
    """
    mode, type, exported_at = parse_import_id(import_id)
    awaited = str(file_type(type).waits_for)
    return _id(mode, awaited, _floor(exported_at, window)), _id(mode, awaited, exported_at)


def waiting_range(awaited: str, type: str, *, window: timedelta) -> tuple[str, str]:
    """Return the first and the last import id of files of a type that may wait for this file."""
    mode, _, exported_at = parse_import_id(awaited)
    return _id(mode, type, exported_at), _id(mode, type, _ceiling(exported_at, window))


def later_range(awaited: str, *, window: timedelta) -> tuple[str, str]:
    """Return the range of files of this type that may be between this file and those that wait."""
    mode, type, exported_at = parse_import_id(awaited)
    return _id(mode, type, exported_at), _id(mode, type, _ceiling(exported_at, window))


def stand_in(rejected: Import, candidates: Iterable[Import], *, window: timedelta) -> Import | None:
    """Return the import that replaces a rejected one for the imports that wait for it.

    The replacement is a corrected file under a new time: loaded, exported up to `window` later, and
    uploaded after the rejected file. Of several, the one that was exported first is returned.
    """
    first, last = later_range(rejected.import_id, window=window)
    fitting = [
        one
        for one in candidates
        if one.status in LOADED
        and first < one.import_id <= last
        and one.uploaded_at > rejected.uploaded_at
    ]
    return min(fitting, key=lambda one: one.import_id, default=None)


def freed_range(awaited: str, type: str, *, window: timedelta) -> tuple[str, str]:
    """Return the range of files of a type that may start as this file replaces a rejected one."""
    mode, _, exported_at = parse_import_id(awaited)
    return _id(mode, type, _floor(exported_at, window)), _id(mode, type, exported_at)


def lines(type: str) -> tuple[str, ...]:
    """Return the types of the files that may wait in line until one of this type has ended."""
    return (type, *(after.name for after in going_after(type)))


def in_line(import_: Import) -> bool:
    """True if a blocked import waits for its turn, and not for its awaited file."""
    if import_.blocked_by is None or import_.type is None:
        return False
    _, blocker, _ = parse_import_id(import_.blocked_by)
    return import_.type in lines(blocker)


def turn(import_: Import) -> tuple[datetime, datetime]:
    """Return the sort key of the files in a line: the oldest export starts first."""
    return import_.exported_at or import_.uploaded_at, import_.uploaded_at


def turns(nexts: list[Import]) -> list[Import]:
    """Return the files that start now, of the next files in line, one per type.

    A file of a type that goes after another type cannot start while the other type is loading. So
    it lets older files of the other type start first: rewards let customers start first.
    """
    return [
        one
        for one in nexts
        if all(turn(one) < turn(other) for other in nexts if other.type == one.goes_after)
    ]


def earliest_start(waiting: Import, awaited: Import | None, rules: Timing) -> datetime | None:
    """Return the earliest start of a file that waits; None until the awaited file has arrived."""
    if awaited is None:
        return None
    if awaited.status in ENDED - LOADED:
        return waiting.uploaded_at  # there is nothing to wait for, and its status says so
    return max(awaited.uploaded_at + rules.delay, waiting.uploaded_at)


def judge(
    import_: Import,
    *,
    now: datetime,
    rules: Timing,
    awaited: Import | None,
    running: str | None,
    ahead: str | None,
) -> StartDecision:
    """Decide if an import may start now and, if not, what it is waiting for.

    Args:
        import_: the import that may start.
        now: the present time.
        rules: the lengths of time in force.
        awaited: the awaited file, if the import waits for one and it has arrived.
        running: the import of the same type that a live worker is loading, if any.
        ahead: the import of the type that goes first that a live worker is loading, if any.
    """
    alone = False
    if import_.mode == "test":
        return Ready()
    if import_.waits_for is not None:
        verdict = _judge_waiting(import_, now=now, rules=rules, awaited=awaited)
        if not isinstance(verdict, Ready):
            return verdict
        alone = verdict.alone
    if import_.goes_after is not None and ahead is not None:
        return BlockedBy(ahead)
    if running is not None and running != import_.import_id:
        return BlockedBy(running)
    return Ready(alone=alone)


def _judge_waiting(
    waiting: Import, *, now: datetime, rules: Timing, awaited: Import | None
) -> StartDecision:
    if awaited is not None and awaited.status in LOADED:
        start = awaited.uploaded_at + rules.delay
        return Ready() if now >= start or waiting.released else NotBefore(start)
    if waiting.released:
        return Ready(alone=True)
    if now >= waiting.uploaded_at + rules.deadline:
        return Ready(alone=True) if rules.without_customers == "load" else Overdue()
    if awaited is None:
        return Waits()
    start = awaited.uploaded_at + rules.delay
    if now < start and awaited.status in PENDING | {"loading"}:
        return NotBefore(start)
    return BlockedBy(awaited.import_id)


def _id(mode: Mode, type: str, at: datetime) -> str:
    return make_import_id(mode=mode, type=type, exported_at=at)


def _floor(at: datetime, window: timedelta) -> datetime:
    earliest = datetime.min.replace(tzinfo=at.tzinfo)
    return earliest if at - earliest < window else at - window


def _ceiling(at: datetime, window: timedelta) -> datetime:
    latest = datetime.max.replace(tzinfo=at.tzinfo, microsecond=0)
    return latest if latest - at < window else at + window
