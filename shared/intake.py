"""What happens when an object appears in the bucket: it is recorded, paired and enqueued."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, tzinfo

from shared import pairing, wording
from shared.alerts import FEED_STOPPED, resolve_alerts, resolve_import_alerts
from shared.errors import BadRequest, Problem, SettingsError, TryAgain
from shared.events import StorageObject
from shared.guesses import shown
from shared.ledger import ENDED, Import, Reports
from shared.ledger_store import LedgerTransaction, without
from shared.logs import log
from shared.names import Arrival, ExportFile, Ignored, Misnamed, read_name
from shared.services import Services
from shared.settings import ConnectionSettings
from shared.tasks import LoadTask


def take_in_event(told: StorageObject, services: Services) -> Import | None:
    """Take in what lies in the bucket under the name that an event tells.

    An event is believed for nothing but the name: one that is stale, or forged, must neither hide
    the upload that is there nor make one up.

    Returns:
        As `take_in`; None also where nothing lies under the name any more.

    Raises:
        BadRequest: the object lies in another bucket.
        TryAgain: Cloud Storage, Firestore or the queue could not be reached.
    """
    _refuse_other_buckets(told, services)
    if isinstance(read_name(told.name), Ignored):
        return take_in(told, services)
    arrived = lying_there(told.name, services)
    if arrived is None:
        log("INFO", "The object of the event is no longer there.", object=told.name)
        return None
    return take_in(arrived, services)


def lying_there(name: str, services: Services) -> StorageObject | None:
    """Return the generation of an object that lies in the bucket; None if there is none.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    from google.api_core import exceptions
    from requests.exceptions import RequestException

    try:
        blob = services.bucket.get_blob(name)
    except (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException) as error:
        raise TryAgain(f"Cloud Storage cannot be reached: {type(error).__name__}") from error
    if blob is None:
        return None
    return StorageObject(
        bucket=services.deployment.bucket,
        name=name,
        generation=int(blob.generation),
        size=int(blob.size or 0),
        crc32c=blob.crc32c or "",
        uploaded_at=blob.time_created,
    )


def _refuse_other_buckets(arrived: StorageObject, services: Services) -> None:
    if arrived.bucket != services.deployment.bucket:
        raise BadRequest(f"The event is about another bucket, {shown(arrived.bucket)}.")


def take_in(arrived: StorageObject, services: Services) -> Import | None:
    """Record an object that has appeared and see to it that it will be worked on.

    Safe to call any number of times for one object: the second call finishes what the first has
    left undone, or does nothing.

    Returns:
        The import as it stands now; None for an object that is none of the pipeline's business.

    Raises:
        BadRequest: the object lies in another bucket.
        TryAgain: Firestore or the queue could not be reached.
    """
    _refuse_other_buckets(arrived, services)
    named = read_arrived(arrived, services)
    if isinstance(named, Ignored):
        log("INFO", f"Ignored: {named.reason}", object=named.object, generation=arrived.generation)
        return None
    if isinstance(named, Misnamed):
        return _refuse(named, arrived, services)
    import_ = services.ledger.transact(
        lambda ledger: _receive(ledger, named, arrived, services, services.now())
    )
    log(
        "INFO",
        f"{import_.status}: {import_.status_text}",
        connection=import_.connection,
        importId=import_.import_id,
        generation=import_.generation,
    )
    return enqueue(import_, services)


def read_arrived(arrived: StorageObject, services: Services) -> ExportFile | Ignored | Misnamed:
    """Say what an uploaded object is.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    named = read_name(arrived.name, arrival(arrived.uploaded_at, services))
    if isinstance(named, Ignored | ExportFile):
        return named
    # The zone of the connection is asked for only where a right name has to be guessed.
    try:
        zone = ConnectionSettings.from_document(
            services.ledger.connection_document(named.connection),
            connection=named.connection,
            deployment=services.deployment,
        ).time_zone
    except SettingsError:
        return named
    return read_name(arrived.name, arrival(arrived.uploaded_at, services, zone=zone))


def arrival(at: datetime, services: Services, *, zone: tzinfo | None = None) -> Arrival:
    """Return what the name of a file is held against that was uploaded then."""
    deployment = services.deployment
    return Arrival(at, deployment.future_tolerance, zone or deployment.time_zone)


def rules(services: Services) -> pairing.Rules:
    """Return the lengths of time that pairing goes by in this deployment."""
    deployment = services.deployment
    return pairing.Rules(
        delay=deployment.orders_delay,
        window=deployment.pairing_window,
        deadline=deployment.orders_deadline,
        without_customers=deployment.orders_without_customers,
    )


def plan_task(import_: Import, *, at: datetime) -> Import:
    """Return the import with its next task decided upon, to be created after the transaction."""
    task = LoadTask.of(import_, number=import_.task_number + 1)
    return import_.next_task(at=at, task_id=task.task_id)


def enqueue(import_: Import, services: Services) -> Import:
    """Create the tasks that the ledger has decided upon for this import and for its dependants.

    The ledger comes first and the queue second, so that a crash in between leaves a decision that
    can be carried out again; a task is created once however often it is asked for.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    planned = [import_] if import_.task and import_.status not in ENDED else []
    if import_.type == "customers" and import_.mode != "test":
        planned += [
            dependant
            for dependant in services.ledger.find(import_.connection, pairedWith=import_.import_id)
            if dependant.task and dependant.status in ("received", "waiting", "scheduled")
        ]
    for one in planned:
        services.queue.create(
            LoadTask.of(one, number=one.task_number), at=one.scheduled_for or services.now()
        )
    for one in planned:
        if one.status in ("received", "waiting"):
            marked = mark_scheduled(one, services)
            if one is import_:
                import_ = marked
    return import_


def mark_scheduled(import_: Import, services: Services) -> Import:
    """Record that the import's task is in the queue, unless it has moved on since.

    Raises:
        TryAgain: Firestore could not be reached.
    """

    def change(ledger: LedgerTransaction) -> Import:
        now = services.now()
        current = ledger.import_(import_.connection, import_.import_id)
        if (
            current is None
            or current.generation != import_.generation
            or current.task != import_.task
            or current.status not in ("received", "waiting", "overdue", "blocked")
        ):
            return current or import_
        marked = current.to("scheduled", now=now, text=wording.scheduled(current, now))
        ledger.put(marked)
        return marked

    return services.ledger.transact(change)


def _receive(
    ledger: LedgerTransaction,
    file: ExportFile,
    arrived: StorageObject,
    services: Services,
    now: datetime,
) -> Import:
    current = ledger.import_(file.connection, file.import_id)
    if current is not None and not is_newer(arrived, current, now):
        return current
    # Each of the two reads what the other writes, before it looks for the other's imports, so that
    # they cannot overlook each other.
    other = {"orders": "customers", "customers": "orders"}.get(file.type)
    if other is not None:
        ledger.feed(file.connection, other)
    fresh = Import(
        connection=file.connection,
        import_id=file.import_id,
        file=file.file,
        object=file.object,
        bucket=arrived.bucket,
        generation=arrived.generation,
        type=file.type,
        mode=file.mode,
        exported_at=file.exported_at,
        uploaded_at=arrived.uploaded_at,
        size=arrived.size,
        crc32c=arrived.crc32c,
    )
    if arrived.size == 0:
        fresh = fresh.saying(wording.empty_so_far(services.deployment.empty_grace), now=now)
        dependants: list[Import] = []
    else:
        fresh = fresh.saying(wording.received(), now=now)
        fresh, dependants = _pair(ledger, fresh, services, now)
    feed = ledger.feed(file.connection, file.type)
    if current is not None:
        if current.lease is not None:
            feed = without(feed, current.lease.owner)
        resolve_import_alerts(ledger, current, now=now)
        gone = current.to(
            "superseded",
            now=now,
            text=wording.superseded(),
            lease=None,
            expire_at=now + services.deployment.ledger_retention,
        )
        ledger.archive(gone)
    if file.mode == "load":
        feed = replace(feed, received_at=now, uploaded=fresh.import_id)
        about = {"connection": file.connection, "about": file.type}
        resolve_alerts(ledger, FEED_STOPPED, now=now, **about)
    ledger.put_feed(replace(feed, received=fresh.import_id))
    ledger.put(fresh)
    for dependant in dependants:
        ledger.put(dependant)
    return fresh


def is_newer(arrived: StorageObject, current: Import, now: datetime) -> bool:
    """Return True if this upload takes over from the one in the ledger; events come in any order.

    A later upload does. So does any upload if the recorded one is made up: it is not in the bucket
    and its time is in the future.
    """
    gone = current.error is not None and current.error.code == "file.gone"
    if gone and current.uploaded_at > now:
        return arrived.generation != current.generation
    return (arrived.uploaded_at, arrived.generation) > (current.uploaded_at, current.generation)


def _pair(
    ledger: LedgerTransaction, fresh: Import, services: Services, now: datetime
) -> tuple[Import, list[Import]]:
    """Decide when the import starts, and which orders start because it has come."""
    timing = rules(services)
    if pairing.paired(type=fresh.type, mode=fresh.mode):
        customers = matching_customers(ledger, fresh, timing)
        start = pairing.start_of_orders(fresh, customers, timing)
        if customers is None or start is None:
            return fresh.to("waiting", now=now, text=wording.waiting(timing.window)), []
        fresh = replace(fresh, paired_with=customers.import_id)
        return plan_task(fresh, at=max(start, now)), []
    dependants: list[Import] = []
    if fresh.type == "customers" and fresh.mode != "test":
        dependants = _pair_orders(ledger, fresh, timing, now)
    return plan_task(fresh, at=now), dependants


def matching_customers(
    ledger: LedgerTransaction, orders: Import, timing: pairing.Rules
) -> Import | None:
    """Return the matching customers file of an orders file, if it has come.

    Where that was rejected, it is the loaded one that stands in for it, if there is one.
    """
    first, last = pairing.customers_range(orders.import_id, window=timing.window)
    candidates = {
        candidate.import_id: candidate
        for candidate in ledger.imports_between(orders.connection, first, last)
        if candidate.size
    }
    matching = pairing.matching_id(orders.import_id, candidates, window=timing.window)
    if not matching:
        return None
    found = candidates[matching]
    if found.status == "rejected":
        later = pairing.later_customers_range(found.import_id, window=timing.window)
        others = ledger.imports_between(orders.connection, *later)
        return pairing.stand_in(found, others, window=timing.window) or found
    return found


def _pair_orders(
    ledger: LedgerTransaction, customers: Import, timing: pairing.Rules, now: datetime
) -> list[Import]:
    """Return the orders that this customers file is the matching one of, scheduled after it."""
    known = {customers.import_id} | {
        other.import_id
        for other in ledger.imports_between(
            customers.connection,
            *pairing.later_customers_range(customers.import_id, window=timing.window),
        )
        if other.size
    }
    orders = ledger.imports_between(
        customers.connection, *pairing.dependants_range(customers.import_id, window=timing.window)
    )
    paired = []
    for one in orders:
        if (
            one.status in ("waiting", "scheduled", "blocked", "overdue")
            and not one.released
            and pairing.matching_id(one.import_id, known, window=timing.window)
            == customers.import_id
        ):
            start = pairing.start_of_orders(one, customers, timing) or now
            one = plan_task(replace(one, paired_with=customers.import_id), at=max(start, now))
            if one.status != "waiting":
                one = one.to(
                    "scheduled", now=now, text=wording.scheduled(one, now), blocked_by=None
                )
            paired.append(one)
    return paired


def _refuse(misnamed: Misnamed, arrived: StorageObject, services: Services) -> Import:
    problem = misnamed.problem
    if misnamed.suggestion:
        problem = Problem(
            code=problem.code,
            message=f"{problem.message} The right name would be {misnamed.suggestion}.",
        )

    def change(ledger: LedgerTransaction) -> Import:
        now = services.now()
        current = ledger.import_(misnamed.connection, misnamed.import_id)
        if current is not None and not is_newer(arrived, current, now):
            return current
        refused = Import(
            connection=misnamed.connection,
            import_id=misnamed.import_id,
            file=misnamed.file,
            object=misnamed.object,
            bucket=arrived.bucket,
            generation=arrived.generation,
            type=misnamed.type,
            mode=misnamed.mode,
            exported_at=None,
            uploaded_at=arrived.uploaded_at,
            size=arrived.size,
            crc32c=arrived.crc32c,
            error=problem,
            reports=Reports(report=misnamed.report_json),
        ).end(
            "rejected",
            now=now,
            text=wording.rejected(problem),
            keep=services.deployment.ledger_retention,
        )
        ledger.put(refused)
        return refused

    refused = services.ledger.transact(change)
    if refused.generation == arrived.generation:
        # Needed for this alone, and Cloud Storage with it.
        from shared.reports import write_report

        write_report(services.bucket, refused, problems=(problem,))
    log(
        "WARNING",
        f"Refused: {problem.message}",
        code=problem.code,
        connection=refused.connection,
        importId=refused.import_id,
        generation=refused.generation,
    )
    return refused
