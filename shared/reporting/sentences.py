"""Sentences for `statusText`: the state or outcome of an import, for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.core import Problem, count, length
from shared.files.types import known_type
from shared.ledger import Import, Judged, RowCounts, Status

REJECTED_FIRST = "was rejected."
"""Words in every sentence about a file that waits for a rejected one."""


def received() -> str:
    """Sentence for a file that has arrived."""
    return "The file has arrived and is about to be scheduled."


def empty_so_far(grace: timedelta) -> str:
    """Sentence for a file without content."""
    return f"The file is empty so far; its content may still arrive within {length(grace)}."


def waiting(import_: Import, window: timedelta) -> str:
    """Sentence for a file whose awaited file has not arrived."""
    return _with_verdict(
        import_,
        f"Waiting for its {import_.waits_for} file (none from the previous {length(window)} yet).",
    )


def scheduled(import_: Import, now: datetime) -> str:
    """Sentence for a file whose task is in the queue; its start is in the ledger, not here."""
    start = import_.scheduled_for
    if start is None or start <= now:
        return "In the queue, about to be worked on."
    if import_.paired_with:
        return _with_verdict(
            import_, f"Scheduled to start after its {import_.waits_for} file {import_.paired_with}."
        )
    return _with_verdict(import_, "Scheduled to start later.")


def blocked(import_: Import, by: str, awaited: Status | None, window: timedelta) -> str:
    """Sentence for a file that waits for the import `by`.

    Args:
        import_: the file's import.
        by: the id of the import that must end first.
        awaited: the status of `by`, if it is the file that the import's type waits for; else None.
        window: the longest time by which a corrected awaited file may be exported later.
    """
    return _with_verdict(import_, _blocked(import_, by, awaited, window))


def _blocked(import_: Import, by: str, awaited: Status | None, window: timedelta) -> str:
    match awaited:
        case "rejected":
            return (
                f"Its {import_.waits_for} file {by} {REJECTED_FIRST} Send the corrected file under "
                f"the same name, or a new export no more than {length(window)} later; or release "
                f"these {import_.type} to load them without it."
            )
        case "failed":
            return (
                f"Its {import_.waits_for} file {by} could not be loaded. Replay that import; or "
                f"release these {import_.type} to load them without it."
            )
        case _:
            return f"Waiting for {by} to finish."


def in_line() -> str:
    """Sentence for a file that starts when earlier files of its type have ended."""
    return "Waiting in line: files of one type are loaded one after the other."


def overdue(
    import_: Import, deadline: timedelta, *, awaited: Status | None, window: timedelta
) -> str:
    """Sentence for a file that has waited too long; see `blocked`."""
    if import_.paired_with is None:
        return _with_verdict(
            import_,
            f"No {import_.waits_for} file after {length(deadline)}. Send it, or release these "
            f"{import_.type} to load them without it.",
        )
    why = _blocked(import_, import_.paired_with, awaited, window)
    return _with_verdict(import_, f"Not loaded after {length(deadline)}. {why}")


def judged(found: Judged) -> str:
    """Sentences for a file that can be used, read while it waits.

    Example: `2 of 86 rows will be rejected. To have every row loaded, upload the corrected file
    under the same name before then.`
    """
    rows = count(found.read, "row") if found.whole else f"the first {count(found.read, 'row')}"
    if found.rejected:
        return (
            f"{found.rejected:,} of {rows} will be rejected. To have every row loaded, upload the "
            "corrected file under the same name before then."
        )
    if found.whole and found.read == 1:
        return "Checked on arrival: its only row can be loaded."
    if not found.read:
        return "The file has no rows." if found.whole else ""
    return f"Checked on arrival: {'all ' if found.whole else ''}{rows} can be loaded."


def _with_verdict(import_: Import, text: str) -> str:
    """Return the sentences about a file that waits, with what reading it has found."""
    return text if import_.judged is None else f"{text} {judged(import_.judged)}".rstrip()


def loading(attempt: int) -> str:
    """Sentence for a file that is being worked on."""
    return "Being loaded." if attempt == 1 else f"Being loaded, attempt {attempt}."


def in_shards(ended: int, shards: int) -> str:
    """Sentence for a file whose shards are being loaded."""
    return f"Being loaded in {shards} parts, {ended or 'none'} of them finished."


def split_anew() -> str:
    """Sentence for a file whose shards cannot continue."""
    return (
        "The data it depends on changed while it was loaded in parts. It will be loaded again "
        "automatically; nothing is lost."
    )


def checking() -> str:
    """Sentence for a file in `test/` that is being read."""
    return "Being checked."


def retrying(attempt: int, attempts: int) -> str:
    """Sentence for a file whose attempt failed because of an error outside the file."""
    return (
        f"Attempt {attempt} of {attempts} failed for a reason outside the file. It will be "
        "retried automatically; nothing is lost."
    )


def goes_on(rows: RowCounts) -> str:
    """Sentence for a file that continues in another task, after one task's deadline."""
    done = rows.settled - rows.rejected
    return f"{count(done, 'row')} done so far. The next task continues from here."


def failed(attempts: int) -> str:
    """Sentence for a file that no attempt could load."""
    return (
        f"Given up after {count(attempts, 'attempt')} because of errors outside the file. "
        "Replay it once they are fixed."
    )


BEING_UNDONE = "Being undone: its documents get what the other exports say of them."
"""Sentence in the text of an import whose undoing has begun and not ended."""


def undoing() -> str:
    """Sentence for an import that is being undone."""
    return f"{BEING_UNDONE} If the command was interrupted, undo the import again."


def undone(restored: int, removed: int, left: int) -> str:
    """Sentence for an import that was undone, with the numbers of its documents by outcome."""
    text = f"Undone: {count(restored, 'document')} restored, {removed:,} removed."
    if left:
        verb = "keeps its" if left == 1 else "keep their"
        text += f" {count(left, 'document')} {verb} content: no earlier export is left."
    return text


def rejected(problem: Problem) -> str:
    """Sentence for a file that cannot be used."""
    return f"Not loaded. {problem.message} {problem.hint}"


def refused(problem: Problem) -> str:
    """Sentence for a file that the gateway has refused for its name."""
    return f"Refused before the upload, so nothing was kept. {problem.message} {problem.hint}"


def restarted(import_: Import) -> str:
    """Sentence for a file that a person has put into the queue again."""
    if import_.replay:
        return "In the queue again: a replay was requested."
    return f"In the queue: released to load without waiting for its {import_.waits_for}."


def superseded() -> str:
    """Sentence for a file that a newer upload has replaced."""
    return "A newer upload of the same name has replaced it."


LEFT_OUT = "could not be read and"
"""Words in every sentence about values that were left out."""


def ended(
    rows: RowCounts,
    *,
    checked: bool,
    left_out: int = 0,
    repeated: int = 0,
    type: str | None = None,
) -> str:
    """Sentences for an import that has ended well.

    Example: `38 of 40 rows loaded. 2 rows have errors: see the rejected file.`

    Args:
        rows: the rows by outcome.
        checked: True for a dry run.
        left_out: number of unreadable values in good rows.
        repeated: number of unchanged rows that repeat the key of another row.
        type: the file's type, which gives the words about orphans.
    """
    see = "" if checked else ": see the rejected file"
    type_ = known_type(type)
    one, other = type_.orphan if type_ is not None else ("document", "document")
    main, counted = (
        "",
        [
            (rows.rejected, f"row has errors{see}", f"rows have errors{see}"),
            (rows.orphaned, f"{one} has no known {other}", f"{one}s have no known {other}"),
        ],
    )
    if rows.read == 0:
        main = "The file has no rows, so there was nothing to load"
    elif checked:
        passed = "" if left_out else " passed"
        main = f"Dry run{passed}: all {count(rows.good, 'row')} would load"
        if rows.rejected:
            main = f"Dry run: {rows.good:,} of {count(rows.read, 'row')} would load"
    else:
        if rows.loaded or rows.settled == rows.rejected:
            main = f"{rows.loaded:,} of {count(rows.read, 'row')} loaded"
        older, said = "older than the stored data", "already up to date"
        counted = [
            (rows.unchanged - repeated, f"row was {said}", f"rows were {said}"),
            (min(repeated, rows.unchanged), "row repeats a key", "rows repeat a key"),
            (rows.outdated, f"row is {older}", f"rows are {older}"),
            *counted,
        ]
    values = ""
    if left_out:
        was, were = ("would be", "are") if checked else ("were", "were")
        values = f"{count(left_out, 'value')} {LEFT_OUT} {was} left as they {were}"
        if left_out == 1:
            was, were = ("would be", "is") if checked else ("was", "was")
            values = f"1 value {LEFT_OUT} {was} left as it {were}"
    first = "; ".join(part for part in (main, values) if part)
    rest = [count(number, one, many) for number, one, many in counted if number > 0]
    return "".join(f"{part}. " for part in (first, *rest) if part).rstrip()
