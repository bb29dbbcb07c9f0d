"""Rules for when an import may start, and which file it waits for.

A type says what its files wait for (`FileType.waits_for`: orders wait for customers). A file and
the one that it waits for are a pair; the latter is called the awaited file here.
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
    """The lengths of time that pairing goes by."""

    delay: timedelta
    """From the upload of the awaited file to the earliest start of those that wait for it."""
    window: timedelta
    """How much older than the waiting file the awaited one may be."""
    deadline: timedelta
    """From the upload of a waiting file to the moment it is overdue."""
    without_customers: OrdersWithoutCustomers


@dataclass(frozen=True, slots=True)
class Ready:
    """The import may start now. `alone` says it starts without the awaited file."""

    alone: bool = False


@dataclass(frozen=True, slots=True)
class NotBefore:
    """The import may start at a time to come."""

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
    """What the import depends on has not come or not ended within the deadline."""


StartDecision = Ready | NotBefore | Waits | BlockedBy | Overdue


def matching_id(import_id: str, candidates: Iterable[str], *, window: timedelta) -> str | None:
    """Return the awaited file of a waiting one: the newest that was exported before it.

    Args:
        import_id: the waiting file.
        candidates: import ids of files of the same connection; those of other types and modes are
            left out.
        window: how much older it may be.
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
    """Return the first and the last import id that the awaited file of a waiting one may have.

    Import ids of one type and mode sort by time, so this is one range of document ids.
    """
    mode, type, exported_at = parse_import_id(import_id)
    awaited = str(file_type(type).waits_for)
    return _id(mode, awaited, _floor(exported_at, window)), _id(mode, awaited, exported_at)


def waiting_range(awaited: str, type: str, *, window: timedelta) -> tuple[str, str]:
    """Return the first and the last import id of files of a type that may wait for this one."""
    mode, _, exported_at = parse_import_id(awaited)
    return _id(mode, type, exported_at), _id(mode, type, _ceiling(exported_at, window))


def later_range(awaited: str, *, window: timedelta) -> tuple[str, str]:
    """Return the range of files of its type that may come between this one and those that wait."""
    mode, type, exported_at = parse_import_id(awaited)
    return _id(mode, type, exported_at), _id(mode, type, _ceiling(exported_at, window))


def stand_in(rejected: Import, candidates: Iterable[Import], *, window: timedelta) -> Import | None:
    """Return the import that takes the place of a rejected one for those that wait for it.

    It is a corrected file under a new time: loaded, exported up to `window` later, and uploaded
    after the rejected one. Of several, the one that was exported first.
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
    """Return the range of files of a type that this one may free by standing in for another."""
    mode, _, exported_at = parse_import_id(awaited)
    return _id(mode, type, _floor(exported_at, window)), _id(mode, type, exported_at)


def lines(type: str) -> tuple[str, ...]:
    """Return the types of the files that may wait in line until one of this type has ended."""
    return (type, *(after.name for after in going_after(type)))


def in_line(import_: Import) -> bool:
    """Whether a blocked import waits for its turn, rather than for its awaited file."""
    if import_.blocked_by is None or import_.type is None:
        return False
    _, blocker, _ = parse_import_id(import_.blocked_by)
    return import_.type in lines(blocker)


def turn(import_: Import) -> tuple[datetime, datetime]:
    """Return what the files in a line are sorted by: the oldest export starts first."""
    return import_.exported_at or import_.uploaded_at, import_.uploaded_at


def turns(nexts: list[Import]) -> list[Import]:
    """Return those of the next ones, one of each type, that start now.

    Files of a type that goes after another start after those of the other that are loading, so
    they let earlier ones pass first: rewards let customers pass.
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
    """Say whether an import may start now and, if not, what it is waiting for.

    Args:
        import_: the import whose turn it would be.
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
