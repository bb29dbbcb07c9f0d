"""The sentences in which the ledger tells people what has become of a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from shared.errors import Problem
from shared.ledger import Import, Rows


def moment(at: datetime, zone: tzinfo = UTC) -> str:
    """Return a time to the second with its zone, e.g. `24 Apr 2023 20:12:30 UTC`."""
    there = at.astimezone(zone)
    return f"{there.day} {there:%b %Y %H:%M:%S} {zone_name(there)}"


def zone_name(at: datetime) -> str:
    """Return the name of a time's zone, e.g. `AEST`; one that has no name is `UTC+07`."""
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def size(number: int) -> str:
    """Return a number of bytes for people, e.g. `512 bytes`, `1.2 MB`."""
    if number < 1000:
        return count(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            break
    return f"{value:,.1f} {unit}"


def every(cadence: timedelta) -> str:
    """Return how often something comes, e.g. `every day`, `every 30 minutes`."""
    return f"every {length(cadence).removeprefix('1 ')}"


def about(span: timedelta) -> str:
    """Return a length of time as people say it, e.g. `5 minutes`, `3 hours`, `2 days`."""
    seconds = abs(round(span.total_seconds()))
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return count(seconds // size, noun)
    return count(seconds, "second")


def percent(share: float) -> str:
    """Return a share of a whole, e.g. `35%`, `20.01%`."""
    return f"{100 * share:.4g}%"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, e.g. `1 row`, `12,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def length(span: timedelta) -> str:
    """Return a length of time in its largest whole unit, e.g. `6 hours`, `90 minutes`."""
    seconds = round(span.total_seconds())
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return count(seconds // size, noun)
    return count(seconds, "second")


def received() -> str:
    """Sentence for a file that has come."""
    return "The file has arrived and is about to be scheduled."


def empty_so_far(grace: timedelta) -> str:
    """Sentence for a file without content."""
    return f"The file is empty so far; its content may still come within {length(grace)}."


def waiting(window: timedelta) -> str:
    """Sentence for orders without a customers file."""
    return (
        f"Waiting for the customers file: none exported in the {length(window)} before this "
        "orders file has arrived."
    )


def scheduled(import_: Import, now: datetime) -> str:
    """Sentence for a file whose task is in the queue."""
    at = import_.scheduled_for
    if at is None or at <= now:
        return "In the queue, about to be worked on."
    if import_.paired_with:
        return f"Scheduled for {moment(at)}, after its customers file {import_.paired_with}."
    return f"Scheduled for {moment(at)}."


def blocked(by: str) -> str:
    """Sentence for a file that another one must come before."""
    return f"Its time has come, but {by} must end first. It will go on by itself."


def overdue(import_: Import, deadline: timedelta) -> str:
    """Sentence for orders that have waited too long."""
    if import_.paired_with:
        cause = f"its customers file {import_.paired_with} has not been loaded"
    else:
        cause = "no matching customers file has come"
    return (
        f"Overdue: {length(deadline)} after its arrival {cause}. "
        "Send that file, or release this one to load it without."
    )


def loading(attempt: int) -> str:
    """Sentence for a file that is being worked on."""
    return "Being loaded." if attempt == 1 else f"Being loaded, attempt {attempt}."


def in_shards(ended: int, shards: int) -> str:
    """Sentence for a file of which several parts are worked on."""
    return f"Being loaded in {shards} shards, {ended or 'none'} of which {_have(ended)} ended."


def _have(number: int) -> str:
    return "has" if number < 2 else "have"


def split_anew() -> str:
    """Sentence for a file whose shards cannot go on."""
    return (
        "What its shards went by has changed in the meantime: the file will be split anew by "
        "itself; nothing is lost."
    )


def checking() -> str:
    """Sentence for a file in `test/` that is being read."""
    return "Being checked."


def retrying(attempt: int, attempts: int) -> str:
    """Sentence for a file whose worker met trouble outside the file."""
    return (
        f"Attempt {attempt} of {attempts} met a fault outside the file and will be repeated by "
        "itself; nothing is lost."
    )


def goes_on(rows: Rows) -> str:
    """Sentence for a file that takes longer than one task may."""
    done = rows.settled - rows.rejected
    return (
        f"{count(done, 'row')} done so far; one task has worked as long as it may, the next one "
        "goes on from here."
    )


def failed(attempts: int) -> str:
    """Sentence for a file that no attempt could load."""
    return (
        f"Given up after {count(attempts, 'attempt')} because of faults outside the file. "
        "Replay it once they are mended."
    )


def rejected(problem: Problem) -> str:
    """Sentence for a file that cannot be used."""
    return f"Not loaded. {problem.message} {problem.hint}"


def restarted(import_: Import) -> str:
    """Sentence for a file that a person has put into the queue again."""
    if import_.replay:
        return "In the queue again: a person has asked for a replay."
    return "In the queue: a person has released it from waiting for its customers."


def superseded() -> str:
    """Sentence for a file in whose place a newer upload has come."""
    return "A newer upload of the same name has taken over."


def ended(rows: Rows, *, checked: bool) -> str:
    """Sentence for a file that has been dealt with."""
    if rows.read == 0:
        text = "The file holds no rows: nothing to load."
    elif checked:
        good = rows.read - rows.rejected
        text = f"Checked, nothing loaded: {good:,} of {count(rows.read, 'row')} can be loaded."
    else:
        text = f"{count(rows.loaded, 'row')} of {rows.read:,} loaded."
        if rows.unchanged:
            text += f" {count(rows.unchanged, 'row')} changed nothing."
        if rows.outdated:
            verb = "is" if rows.outdated == 1 else "are"
            text += f" {count(rows.outdated, 'row')} {verb} older than the stored data."
    if rows.rejected:
        verb = "is" if rows.rejected == 1 else "are"
        text += f" {count(rows.rejected, 'row')} {verb} wrong: see the rejected file."
    if rows.orphaned:
        text += f" {count(rows.orphaned, 'order')} without a known customer."
    return text
