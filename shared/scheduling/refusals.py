"""Refused names: each becomes a rejected import, with a report and an alert.

The gateway refuses a wrong name at once and leaves a note, an object such as
`refusals/au/20241120T03-6f1c2a9d04be77aa.json` with the content
`{"object": "pending/au/cust_20nov.csv"}`. It is taken like an upload of that name, of which nothing
was kept, and deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from shared.core import Problem, log
from shared.files import LONGEST_OBJECT, Misnamed
from shared.gcp import StorageObject
from shared.ledger import Import, LedgerTransaction, Reports
from shared.mail import post_about, refused_name, send_now
from shared.reporting import (
    NO_TYPE,
    REFUSED_NAME,
    REFUSED_NAME_TODO,
    groups_of,
    raise_alert,
    sentences,
)
from shared.scheduling.arrivals import is_newer, lying_there, read_arrived, recorded, zone_of
from shared.services import Services

LONGEST_NOTE = 8 * LONGEST_OBJECT
"""Bytes of the largest note: JSON writes a byte of a name in at most six."""


def take_note(name: str, services: Services) -> Import | None:
    """Record the name that a note tells as refused, and delete the note.

    Safe to call any number of times.

    Returns:
        The import of the refused name; None if there is no such note, or it cannot be used.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    from shared.gcp.storage import delete_if_there  # only notes need it here

    note = lying_there(name, services)
    if note is None:
        return None
    refused = _take(note, services)
    delete_if_there(services.bucket, name, note.generation)
    return refused


def _take(note: StorageObject, services: Services) -> Import | None:
    object_name = _read(note, services)
    if object_name is None:
        log("WARNING", "A note in refusals/ cannot be used.", object=note.name)
        return None
    arrived = replace(note, name=object_name, size=0, crc32c="")
    named = read_arrived(arrived, services)
    if not isinstance(named, Misnamed):
        log(
            "WARNING",
            "The gateway has refused a name that is right: its settings are not those of the "
            "functions.",
            object=object_name,
        )
        return None
    return refuse(named, arrived, services, at_door=True)


def _read(note: StorageObject, services: Services) -> str | None:
    """Return the object name in a note; None if the note is not one of the gateway's."""
    from shared.gcp.storage import read_object

    if note.size > LONGEST_NOTE:
        return None
    try:
        told = json.loads(read_object(services.bucket, note.name, note.generation))
        name = told["object"] if isinstance(told, Mapping) else None
        usable = isinstance(name, str) and 0 < len(name.encode()) <= LONGEST_OBJECT
    except (ValueError, KeyError, RecursionError):
        return None
    return name if usable else None


def refuse(
    misnamed: Misnamed, arrived: StorageObject, services: Services, *, at_door: bool = False
) -> Import:
    """Record an upload as rejected for its name, with a report and an alert.

    `at_door` is True if the gateway has refused the upload, so that nothing of it was kept.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    problem = misnamed.problem
    if misnamed.suggestion:
        message = f"{problem.message} The right name would be {misnamed.suggestion}."
        problem = Problem(code=problem.code, message=message)

    def change(ledger: LedgerTransaction) -> tuple[Import, str | None]:
        current = ledger.import_(misnamed.connection, misnamed.import_id)
        if current is not None and not is_newer(arrived, current, services.now()):
            return current, None
        text = sentences.refused(problem) if at_door else sentences.rejected(problem)
        return _record(ledger, misnamed, arrived, problem, text, services)

    refused, mail = services.ledger.transact(change)
    if refused.generation == arrived.generation:
        # Imported here: only this needs it, and it imports Cloud Storage.
        from shared.reporting.reports import report_of, write_report

        problems, zone = (problem,), zone_of(refused.connection, services)
        groups = groups_of(problems)
        report = report_of(refused, problems=problems, groups=groups, zone=zone)
        write_report(services.bucket, report)
    log(
        "WARNING",
        f"Refused: {problem.message}",
        code=problem.code,
        connection=refused.connection,
        importId=refused.import_id,
        generation=refused.generation,
    )
    send_now([mail], services)
    return refused


def _record(
    ledger: LedgerTransaction,
    misnamed: Misnamed,
    arrived: StorageObject,
    problem: Problem,
    text: str,
    services: Services,
) -> tuple[Import, str | None]:
    """Record the rejected import, its alert and its mail; return the import and the mail's id."""
    now, suggestion, mail = services.now(), misnamed.suggestion, None
    refused = replace(
        recorded(misnamed, arrived, services),
        error=problem,
        reports=Reports(report=misnamed.report_json),
    ).end("rejected", now=now, text=text, keep=services.deployment.ledger_retention)
    if services.deployment.alert_rejected and misnamed.mode == "load":
        about = misnamed.type or NO_TYPE
        raise_alert(ledger, REFUSED_NAME, refused, todo=REFUSED_NAME_TODO, now=now, about=about)
    ledger.put(refused)
    if misnamed.mode != "test":
        mail = post_about(
            ledger,
            refused,
            "refused_name",
            lambda zone: refused_name(refused, zone=zone, suggestion=suggestion),
            services,
            now=now,
        )
    return refused, mail
