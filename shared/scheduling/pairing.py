"""Which customers file an orders file depends on, and when an import may start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core import OrdersWithoutCustomers
from shared.files import Mode, make_import_id, parse_import_id
from shared.ledger import ENDED, LOADED, PENDING, Import


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The lengths of time that pairing goes by."""

    delay: timedelta
    """From the upload of the customers file to the earliest start of its orders."""
    window: timedelta
    """How much older than the orders file its customers file may be."""
    deadline: timedelta
    """From the upload of an orders file to the moment it is overdue."""
    without_customers: OrdersWithoutCustomers


@dataclass(frozen=True, slots=True)
class Ready:
    """The import may start now. `alone` says it starts without its customers file."""

    alone: bool = False


@dataclass(frozen=True, slots=True)
class NotBefore:
    """The import may start at a time to come."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Waits:
    """The matching customers file has not come."""


@dataclass(frozen=True, slots=True)
class BlockedBy:
    """Another import must end first."""

    import_id: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """What the import depends on has not come or not ended within the deadline."""


StartDecision = Ready | NotBefore | Waits | BlockedBy | Overdue


def paired(*, type: str | None, mode: Mode) -> bool:
    """Whether files of this type and mode wait for a customers file. A check waits for nothing."""
    return type == "orders" and mode != "test"


def matching_id(import_id: str, customers: Iterable[str], *, window: timedelta) -> str | None:
    """Return the matching customers file of an orders file.

    Args:
        import_id: the orders file.
        customers: import ids of customers files of the same connection; other modes are left out.
        window: how much older it may be.
    """
    mode, _, exported_at = parse_import_id(import_id)
    matching: tuple[datetime, str] | None = None
    for candidate in customers:
        candidate_mode, candidate_type, at = parse_import_id(candidate)
        if (
            candidate_mode == mode
            and candidate_type == "customers"
            and _floor(exported_at, window) <= at <= exported_at
            and (matching is None or at > matching[0])
        ):
            matching = (at, candidate)
    return matching[1] if matching else None


def customers_range(import_id: str, *, window: timedelta) -> tuple[str, str]:
    """Return the first and the last import id that the customers file of an orders file may have.

    Import ids of one type and mode sort by time, so this is one range of document ids.
    """
    mode, _, exported_at = parse_import_id(import_id)
    first, last = _floor(exported_at, window), exported_at
    return _id(mode, "customers", first), _id(mode, "customers", last)


def dependants_range(import_id: str, *, window: timedelta) -> tuple[str, str]:
    """Return the first and the last import id of the orders that may depend on a customers file."""
    mode, _, exported_at = parse_import_id(import_id)
    return _id(mode, "orders", exported_at), _id(mode, "orders", _ceiling(exported_at, window))


def later_customers_range(import_id: str, *, window: timedelta) -> tuple[str, str]:
    """Return the range of customers files that may come between this one and its orders."""
    mode, _, exported_at = parse_import_id(import_id)
    last = _ceiling(exported_at, window)
    return _id(mode, "customers", exported_at), _id(mode, "customers", last)


def stand_in(rejected: Import, candidates: Iterable[Import], *, window: timedelta) -> Import | None:
    """Return the customers import that takes the place of a rejected one for its orders.

    It is a corrected file under a new time: loaded, exported up to `window` later, and uploaded
    after the rejected one. Of several, the one that was exported first.
    """
    first, last = later_customers_range(rejected.import_id, window=window)
    fitting = [
        one
        for one in candidates
        if one.status in LOADED
        and first < one.import_id <= last
        and one.uploaded_at > rejected.uploaded_at
    ]
    return min(fitting, key=lambda one: one.import_id, default=None)


def freed_range(import_id: str, *, window: timedelta) -> tuple[str, str]:
    """Return the range of orders that a customers import may free by standing in for another."""
    mode, _, exported_at = parse_import_id(import_id)
    return _id(mode, "orders", _floor(exported_at, window)), _id(mode, "orders", exported_at)


def lines(type: str) -> tuple[str, ...]:
    """Return the types of the files that may wait in line until one of this type has ended."""
    return (type, "rewards") if type == "customers" else (type,)


def in_line(import_: Import) -> bool:
    """Whether a blocked import waits for its turn, rather than for its customers file."""
    if import_.blocked_by is None or import_.type is None:
        return False
    _, blocker, _ = parse_import_id(import_.blocked_by)
    return import_.type in lines(blocker)


def turn(import_: Import) -> tuple[datetime, datetime]:
    """Return what the files in a line are sorted by: the oldest export starts first."""
    return import_.exported_at or import_.uploaded_at, import_.uploaded_at


def turns(nexts: list[Import]) -> list[Import]:
    """Return those of the next ones, one of each type, that start now.

    Rewards start after the customers that are loading, so they let earlier customers pass first.
    """
    customers = [one for one in nexts if one.type == "customers"]
    return [
        one
        for one in nexts
        if one.type != "rewards" or all(turn(one) < turn(other) for other in customers)
    ]


def start_of_orders(orders: Import, customers: Import | None, rules: Timing) -> datetime | None:
    """Return the earliest start of an orders file; None while its customers file has not come."""
    if customers is None:
        return None
    if customers.status in ENDED - LOADED:
        return orders.uploaded_at  # there is nothing to wait for, and the orders say so
    return max(customers.uploaded_at + rules.delay, orders.uploaded_at)


def judge(
    import_: Import,
    *,
    now: datetime,
    rules: Timing,
    customers: Import | None,
    running: str | None,
    customers_running: str | None,
) -> StartDecision:
    """Say whether an import may start now and, if not, what it is waiting for.

    Args:
        import_: the import whose turn it would be.
        now: the present time.
        rules: the lengths of time in force.
        customers: for orders, the matching customers file, if it has come.
        running: the import of the same type that a live worker is loading, if any.
        customers_running: for rewards, the customers import that a live worker is loading, if any.
    """
    alone = False
    if import_.mode == "test":
        return Ready()
    if paired(type=import_.type, mode=import_.mode):
        verdict = _judge_orders(import_, now=now, rules=rules, customers=customers)
        if not isinstance(verdict, Ready):
            return verdict
        alone = verdict.alone
    if import_.type == "rewards" and customers_running is not None:
        return BlockedBy(customers_running)
    if running is not None and running != import_.import_id:
        return BlockedBy(running)
    return Ready(alone=alone)


def _judge_orders(
    orders: Import, *, now: datetime, rules: Timing, customers: Import | None
) -> StartDecision:
    if customers is not None and customers.status in LOADED:
        start = customers.uploaded_at + rules.delay
        return Ready() if now >= start or orders.released else NotBefore(start)
    if orders.released:
        return Ready(alone=True)
    if now >= orders.uploaded_at + rules.deadline:
        return Ready(alone=True) if rules.without_customers == "load" else Overdue()
    if customers is None:
        return Waits()
    start = customers.uploaded_at + rules.delay
    if now < start and customers.status in PENDING | {"loading"}:
        return NotBefore(start)
    return BlockedBy(customers.import_id)


def _id(mode: Mode, type: str, at: datetime) -> str:
    return make_import_id(mode=mode, type=type, exported_at=at)


def _floor(at: datetime, window: timedelta) -> datetime:
    earliest = datetime.min.replace(tzinfo=at.tzinfo)
    return earliest if at - earliest < window else at - window


def _ceiling(at: datetime, window: timedelta) -> datetime:
    latest = datetime.max.replace(tzinfo=at.tzinfo, microsecond=0)
    return latest if latest - at < window else at + window
