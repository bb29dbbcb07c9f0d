"""Intake of an object that appears in the bucket: it is recorded, paired and enqueued."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.core import BadRequest, log
from shared.files import REFUSALS, ExportFile, Ignored, Misnamed, read_name, shown
from shared.files.types import file_type, waiting_for
from shared.gcp import StorageObject
from shared.ledger import Import, LedgerTransaction, feed_path, import_path, without
from shared.reporting import (
    FEED_STOPPED,
    NO_TYPE,
    REFUSED_NAME,
    alert_paths,
    resolve_alerts,
    resolve_import_alerts,
    sentences,
)
from shared.scheduling import pairing
from shared.scheduling.arrivals import is_newer, lying_there, read_arrived, recorded
from shared.scheduling.planning import awaited_file, enqueue, enqueue_judging, plan_task, rules
from shared.scheduling.refusals import refuse, take_note
from shared.services import Services


def take_in_event(told: StorageObject, services: Services) -> Import | None:
    """Take in the object that is in the bucket under the name in an event.

    Only the name in the event is used. An old or forged event must not hide the upload that is in
    the bucket, and must not invent one.

    A note of the gateway about a refused name is taken, too; see `shared.scheduling.refusals`.

    Returns:
        As `take_in`; None also if no object has the name any more.

    Raises:
        BadRequest: the object is in another bucket.
        TryAgain: Cloud Storage, Firestore or the queue could not be reached.
    """
    _refuse_other_buckets(told, services)
    if told.name.startswith(f"{REFUSALS}/"):
        return take_note(told.name, services)
    if isinstance(read_name(told.name), Ignored):
        return take_in(told, services)
    arrived = lying_there(told.name, services)
    if arrived is None:
        log("INFO", "The object of the event is no longer there.", object=told.name)
        return None
    return take_in(arrived, services)


def _refuse_other_buckets(arrived: StorageObject, services: Services) -> None:
    if arrived.bucket != services.deployment.bucket:
        raise BadRequest(f"The event is about another bucket, {shown(arrived.bucket)}.")


def take_in(arrived: StorageObject, services: Services) -> Import | None:
    """Record an object that has appeared, and enqueue its import.

    Safe to call any number of times for one object. A second call finishes what the first did not,
    or does nothing.

    Returns:
        The present import; None for an object that the pipeline ignores.

    Raises:
        BadRequest: the object is in another bucket.
        TryAgain: Firestore or the queue could not be reached.
    """
    _refuse_other_buckets(arrived, services)
    named = read_arrived(arrived, services)
    if isinstance(named, Ignored):
        log("INFO", f"Ignored: {named.reason}", object=named.object, generation=arrived.generation)
        return None
    if isinstance(named, Misnamed):
        return refuse(named, arrived, services)
    import_ = services.ledger.transact(lambda ledger: _receive(ledger, named, arrived, services))
    log(
        "INFO",
        f"{import_.status}: {import_.status_text}",
        connection=import_.connection,
        importId=import_.import_id,
        generation=import_.generation,
    )
    import_ = enqueue(import_, services)
    enqueue_judging(import_, services)
    return import_


def _receive(
    ledger: LedgerTransaction,
    file: ExportFile,
    arrived: StorageObject,
    services: Services,
) -> Import:
    ledger.fetch(*_needed(file))
    # Only now: what was read may be younger than the time before a read that took long.
    now = services.now()
    current = ledger.import_(file.connection, file.import_id)
    if current is not None and not is_newer(arrived, current, now):
        return current
    # A waiting file and its awaited file each read the feed that the other writes, before the
    # search for the other's imports. So neither can miss the other.
    for other in _others(file):
        ledger.feed(file.connection, other)
    fresh = recorded(file, arrived, services)
    if arrived.size == 0:
        fresh = fresh.saying(sentences.empty_so_far(services.deployment.empty_grace), now=now)
        dependents: list[Import] = []
    else:
        fresh = fresh.saying(sentences.received(), now=now)
        fresh, dependents = _pair(ledger, fresh, services, now)
    feed = ledger.feed(file.connection, file.type)
    if current is not None:
        if current.lease is not None:
            feed = without(feed, current.lease.owner)
        _supersede(ledger, current, services, now)
    if file.mode == "load":
        feed = feed.arrived(fresh.import_id, now)
        about = {"connection": file.connection, "about": file.type}
        resolve_alerts(ledger, FEED_STOPPED, REFUSED_NAME, now=now, **about)
        about["about"] = NO_TYPE
        resolve_alerts(ledger, REFUSED_NAME, now=now, **about)
    ledger.put_feed(replace(feed, received=fresh.import_id))
    ledger.put(fresh)
    for dependent in dependents:
        ledger.put(dependent)
    return fresh


def _supersede(
    ledger: LedgerTransaction, current: Import, services: Services, now: datetime
) -> None:
    """Archive an import whose name has a newer upload, and resolve its alerts."""
    resolve_import_alerts(ledger, current, now=now)
    gone = current.to(
        "superseded",
        now=now,
        text=sentences.superseded(),
        lease=None,
        expire_at=now + services.deployment.ledger_retention,
    )
    ledger.archive(gone)


def _others(file: ExportFile) -> list[str]:
    """Return the types that the file's type waits for, or that wait for it."""
    awaited = file_type(file.type).waits_for
    return [*([awaited] if awaited else []), *(one.name for one in waiting_for(file.type))]


def _needed(file: ExportFile) -> list[str]:
    """Return the paths of the documents that are read for a file that arrives."""
    connection = file.connection
    paths = [import_path(connection, file.import_id)]
    paths += [feed_path(connection, type) for type in (file.type, *_others(file))]
    if file.mode == "load":
        codes = FEED_STOPPED, REFUSED_NAME
        paths += alert_paths(*codes, connection=connection, about=file.type)
        paths += alert_paths(REFUSED_NAME, connection=connection, about=NO_TYPE)
    return paths


def _pair(
    ledger: LedgerTransaction, fresh: Import, services: Services, now: datetime
) -> tuple[Import, list[Import]]:
    """Plan when the import starts. Return the import, and the waiting imports that it starts."""
    timing = rules(services)
    dependents = [
        one for type in fresh.awaited_by for one in _pair_waiting(ledger, fresh, type, timing, now)
    ]
    if fresh.waits_for is None:
        return plan_task(fresh, at=now), dependents
    awaited = awaited_file(ledger, fresh, timing)
    start = pairing.earliest_start(fresh, awaited, timing)
    if awaited is None or start is None:
        text = sentences.waiting(fresh, timing.window)
        return fresh.to("waiting", now=now, text=text), dependents
    fresh = replace(fresh, paired_with=awaited.import_id)
    return plan_task(fresh, at=max(start, now)), dependents


def _pair_waiting(
    ledger: LedgerTransaction,
    awaited: Import,
    type: str,
    timing: pairing.Timing,
    now: datetime,
) -> list[Import]:
    """Return the imports of a type that wait for this file, scheduled after it."""
    candidates = [
        one
        for one in ledger.imports_between(
            awaited.connection,
            *pairing.waiting_range(awaited.import_id, type, window=timing.window),
        )
        if one.status in ("waiting", "scheduled", "blocked", "overdue") and not one.released
    ]
    if not candidates:
        return []
    known = {awaited.import_id} | {
        other.import_id
        for other in ledger.imports_between(
            awaited.connection, *pairing.later_range(awaited.import_id, window=timing.window)
        )
        if other.size
    }
    paired = []
    for one in candidates:
        if pairing.matching_id(one.import_id, known, window=timing.window) == awaited.import_id:
            start = pairing.earliest_start(one, awaited, timing) or now
            one = plan_task(replace(one, paired_with=awaited.import_id), at=max(start, now))
            if one.status != "waiting":
                one = one.to(
                    "scheduled", now=now, text=sentences.scheduled(one, now), blocked_by=None
                )
            paired.append(one)
    return paired
