"""Texts of mails: what is said about a file, a feed or a day, as subject and body.

A mail never quotes a cell or names an order, so it can be forwarded. Of rows, it has only their
lines, their columns and the meaning of their codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from shared.core import CODES, Notify, Problem, about, count, length, moment, printable, wrapped
from shared.files import EXPORT
from shared.ledger import Import, Judged, RowCounts
from shared.reporting import ON, SUCCESS, Group, report_names

GROUPS = 5
"""Largest number of groups of problems in a mail; the report has all."""

WAITING = 3
"""Largest number of waiting files that a mail names."""

_LONGEST_SUBJECT = 140
_WIDTH = 76
_SENTENCE = re.compile(r"(.+?[\w)%\]'’])\.(?=\s+[A-Z0-9]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a mail, before it becomes text and HTML."""

    mark: str
    """Begins the subject: `✗` nothing loaded, `!` something to do, `✓` well, or nothing."""
    verdict: str
    """The subject without connection and mark, e.g. `customers 20 Nov 14:30: 86 of 90 rows loaded`.
    """
    lead: str
    """Sentences that say what happened."""
    counts: tuple[tuple[str, int], ...] = ()
    """Words and number of each outcome of the rows; the first is the sum of the others."""
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Heading, and a line for each group of problems or each file."""
    waits: str = ""
    """Sentence about the files that wait for this one."""
    todo: tuple[str, ...] = ()
    """Steps to take."""
    facts: tuple[tuple[str, str], ...] = ()
    """Name and value, e.g. `File` and `customers_20241120T033000Z.csv`."""

    def subject(self, connection: str) -> str:
        """Return the subject: one line, printable, at most `_LONGEST_SUBJECT` characters."""
        text = " ".join(f"[{connection}] {self.mark} {self.verdict}".split())
        text = printable(text)
        if len(text) > _LONGEST_SUBJECT:
            text = f"{text[: _LONGEST_SUBJECT - 1]}…"
        return text


# -- one file -------------------------------------------------------------------------------------


def ended(
    import_: Import,
    groups: Sequence[Group],
    *,
    zone: tzinfo,
    waiting: Sequence[str] = (),
    send_as: str | None = None,
) -> Content:
    """Return the content about an import that was rejected, or loaded.

    Args:
        import_: the import, which has ended.
        groups: its problems, errors before warnings.
        zone: the zone of the times.
        waiting: names of files that wait for this one.
        send_as: a free name for the file of corrected rows.
    """
    rows = import_.rows
    if import_.status == "rejected":
        problem = import_.error
        why = first_sentence(problem.message) if problem else "the file cannot be used"
        return Content(
            mark="✗",
            verdict=f"{name_of(import_, zone)}: nothing loaded – {why}",
            lead=f"None of this file was loaded. {problem.message if problem else ''}".strip(),
            counts=counts_of(rows) if rows.read else (),
            groups=_groups(groups),
            waits=_waits(waiting),
            todo=_send_again(import_, problem),
            facts=_facts(import_, zone),
        )
    fixed = count(rows.rejected, "row")
    loaded = f"{rows.good:,} of {count(rows.read, 'row')} loaded"
    return Content(
        mark="!" if rows.rejected else "✓",
        verdict=f"{name_of(import_, zone)}: {loaded}"
        + (f", {rows.rejected:,} to fix" if rows.rejected else ""),
        lead=f"{fixed} could not be loaded. All other rows are in."
        if rows.rejected
        else import_.status_text,
        counts=counts_of(rows),
        groups=_groups(groups),
        todo=_fix_rows(import_, send_as) if rows.rejected else (),
        facts=_facts(import_, zone),
    )


def announced(import_: Import, judged: Judged, groups: Sequence[Group], *, zone: tzinfo) -> Content:
    """Return the content about a file that waits, of which some rows will be rejected.

    Args:
        import_: the import, whose status text says what it waits for.
        judged: the result of reading the file.
        groups: its problems, errors before warnings.
        zone: the zone of the times.
    """
    read, bad = judged.read, judged.rejected
    rows = count(read, "row") if judged.whole else f"the first {count(read, 'row')}"
    them = "this row" if bad == 1 else "these rows"
    return Content(
        mark="!",
        verdict=f"{name_of(import_, zone)}: {bad:,} of {rows} will be rejected",
        lead=import_.status_text,
        counts=(
            ("rows in the file" if judged.whole else "rows read", read),
            ("can be loaded", read - bad),
            ("will be rejected because of errors", bad),
        ),
        groups=_groups(groups, later=True),
        todo=(
            "Correct the file and upload it again under the same name before it is loaded: "
            f"{import_.object}.",
            f"Or let it be loaded without {them}: the folder rejected/ then has {them}, with the "
            f"reason. Correct {them} in Apparel21 as well, for the next export.",
        ),
        facts=_facts(import_, zone),
    )


def refused_name(import_: Import, *, zone: tzinfo, suggestion: str | None = None) -> Content:
    """Return the content about a file whose name cannot be used."""
    problem = import_.error
    rename = f" – rename to {suggestion}" if suggestion else ""
    todo = f"Rename it to {suggestion} and upload it again." if suggestion else ""
    return Content(
        mark="",
        verdict=f"refused: {import_.file}{rename}",
        lead=f"None of this file was loaded. {problem.message if problem else ''}".strip(),
        todo=tuple(
            text
            for text in (
                todo or (problem.hint if problem else ""),
                "If the export job writes this name, correct the name there: every later file "
                "will be refused, too.",
            )
            if text
        ),
        facts=_facts(import_, zone),
    )


def overdue(import_: Import, *, zone: tzinfo, now: datetime) -> Content:
    """Return the content about a file that has waited too long for another one."""
    awaited = import_.waits_for
    came = import_.paired_with is not None
    why = f"its {awaited} file is not loaded" if came else f"no {awaited} file has arrived"
    return Content(
        mark="!",
        verdict=f"{name_of(import_, zone)}: waiting for {about(now - import_.uploaded_at)} – {why}",
        lead=f"These {import_.type} are not loaded yet. {import_.status_text}",
        todo=(
            f"Send the corrected {awaited} file." if came else f"Send the {awaited} file.",
            f"If there is none, ask us to load these {import_.type} without it: answer this mail.",
        ),
        facts=_facts(import_, zone),
    )


# -- a feed ---------------------------------------------------------------------------------------


def stopped(type: str, *, last: datetime | None, cadence: timedelta, zone: tzinfo) -> Content:
    """Return the content about a feed whose expected file has not arrived."""
    expected = {"1 day": "daily", "1 hour": "hourly", "7 days": "weekly"}.get(
        length(cadence), f"every {length(cadence)}"
    )
    since = f"since {last.astimezone(zone):%a %d %b %H:%M}" if last else "yet"
    return Content(
        mark="",
        verdict=f"No {type} file {since} (expected {expected})",
        lead=(
            f"A {type} file is expected {expected}. "
            + (f"The last one arrived {moment(last, zone)}." if last else "None has arrived yet.")
        ),
        todo=(
            "Check that the export in Apparel21 still runs, and that it can log in to the SFTP "
            "server.",
            "If the files now come less often, tell us: answer this mail.",
        ),
    )


def recovered(content: Content, topic: str, *, rows_only: bool) -> Content:
    """Return the content about a file that loaded well after trouble with its feed.

    `content` is that of the file. `rows_only` is True if the trouble was about single rows.
    """
    words = topic.replace("_", " ")
    again = "no rows to fix any more" if rows_only else "loading again"
    return replace(
        content,
        mark="✓",
        verdict=f"{words}: {again}",
        lead=f"The trouble is over. {content.lead}",
    )


# -- an address ------------------------------------------------------------------------------------


def welcome(connection: str, notify: Notify, *, sender: str, contact: str) -> Content:
    """Return the content for an address that is mailed from now on.

    Args:
        connection: the connection whose files the mails are about.
        notify: what is mailed.
        sender: the sender of the mails; empty if the deployment names none.
        contact: whom to ask to stop them; empty if the deployment names nobody.
    """
    events = tuple(words for event, words in ON.items() if event in notify.on)
    stop = f"write to {contact}, or answer this mail" if contact else "answer this mail"
    return Content(
        mark="",
        verdict=f"You get mail about the files of {connection} from now on",
        lead=(
            f"Your address was added to those that are mailed about the files of {connection}. "
            f"{SUCCESS[notify.success]}"
        ),
        groups=((("You get a mail when", events),) if events else ()),
        facts=(
            *((("Mails come from", sender),) if sender else ()),
            ("To stop them", stop),
        ),
    )


# -- parts ----------------------------------------------------------------------------------------


def first_sentence(text: str) -> str:
    """Return the first sentence of a message, without full stop and first article.

    Example: `The column PERIDX is missing. It may be ID.` becomes `column PERIDX is missing`.
    """
    found = _SENTENCE.match(text)
    sentence = (found[1] if found else text.rstrip(".")).strip()
    for article in ("The ", "A ", "An "):
        if sentence.startswith(article):
            return sentence.removeprefix(article)
    return sentence


def short_time(time: datetime, zone: tzinfo) -> str:
    """Return a time for a subject, e.g. `20 Nov 14:30`."""
    local = time.astimezone(zone)
    return f"{local.day} {local:%b %H:%M}"


def name_of(import_: Import, zone: tzinfo) -> str:
    """Return type and time of export, e.g. `customers 20 Nov 14:30`."""
    kind = "first load of " if import_.mode == "bulk" else ""
    return f"{kind}{import_.type} {short_time(import_.exported_at or import_.uploaded_at, zone)}"


def counts_of(rows: RowCounts) -> tuple[tuple[str, int], ...]:
    """Return words and number of each outcome of rows; the first is the sum of the others."""
    parts = (
        ("loaded, new or changed", rows.loaded),
        ("already up to date, or repeated", rows.unchanged),
        ("older than the stored data", rows.outdated),
        ("not loaded because of errors", rows.rejected),
        ("right, but rejected with the file", rows.read - rows.settled),
    )
    return (("rows in the file", rows.read), *(part for part in parts if part[1]))


def _groups(
    groups: Sequence[Group], *, later: bool = False
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the groups that a mail shows: errors, then warnings, at most `GROUPS` in all.

    `later` is True for a file that waits.
    """
    about_rows = [one for one in groups if one.severity in ("row", "warning")]
    shown, left = about_rows[:GROUPS], about_rows[GROUPS:]
    errors = tuple(_line(one) for one in shown if one.is_error)
    warnings = tuple(_line(one) for one in shown if not one.is_error)
    if left:
        rest = f"… and {count(len(left), 'other kind')} of problems: see the report."
        if warnings or not left[0].is_error:
            warnings = (*warnings, rest)
        else:
            errors = (*errors, rest)
    found = (
        (f"Errors ({'will not be' if later else 'not'} loaded)", errors),
        (f"Warnings ({'will be ' if later else ''}loaded, please check)", warnings),
    )
    return tuple((head, lines) for head, lines in found if lines)


def _line(group: Group) -> str:
    """Return a group in words, with the meaning of its code: a message may name an order."""
    known = CODES.get(group.code)
    column = f"{group.column}: " if group.column else ""
    where = f" – {group.where}" if group.where else ""
    meaning = (known.meaning if known else group.code).rstrip(".")
    return f"{count(group.count, 'row')}: {column}{meaning}{where}"


def _waits(waiting: Sequence[str]) -> str:
    if not waiting:
        return ""
    names, more = ", ".join(waiting[:WAITING]), len(waiting) - WAITING
    rest = f" and {count(more, 'other file')}" if more > 0 else ""
    verb = "waits" if len(waiting) == 1 else "wait"
    return f"{names}{rest} {verb} for this file, and will be loaded after it."


def _send_again(import_: Import, problem: Problem | None) -> tuple[str, ...]:
    hint = (problem.hint,) if problem else ()
    return (*hint, f"Then upload the file again under the same name: {import_.object}.")


def _fix_rows(import_: Import, send_as: str | None) -> tuple[str, ...]:
    if not import_.reports.rejected:
        return ("Correct the rows in Apparel21. The next export will have them.",)
    folder, _, name = import_.reports.rejected.rpartition("/")
    under = send_as or f"{import_.type}_<time of now in UTC>Z.csv"
    return (
        f"Open {name} in the folder {folder.partition('/')[0]}/ of the SFTP server. It has only "
        "these rows, each with the reason. In Excel, choose Data, From Text/CSV, Do not detect "
        "data types: a double click would damage dates and numbers.",
        f"Fix the rows, do not change the column {EXPORT}, and upload the file as {under}.",
        "Correct them in Apparel21 as well, so that the next export has no such rows.",
    )


def _facts(import_: Import, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    return (
        ("File", import_.object),
        ("Uploaded", moment(import_.uploaded_at, zone)),
        *((("Finished", moment(import_.finished_at, zone)),) if import_.finished_at else ()),
        *((("Report", report_names(import_)["summary"]),) if import_.reports.report else ()),
    )


# -- the body as text -----------------------------------------------------------------------------


def plain(content: Content, *, foot: str) -> str:
    """Return the body as text, wrapped at `_WIDTH` characters."""
    return printable("\n\n".join(_blocks(content, foot)) + "\n", keep="\n")


def _blocks(content: Content, foot: str) -> Iterator[str]:
    yield _wrapped(content.lead)
    if content.counts:
        width = max(len(f"{number:,}") for _, number in content.counts)
        yield "\n".join(f"  {number:>{width},}  {words}" for words, number in content.counts)
    for head, lines in content.groups:
        yield "\n".join([f"{head}:", *_listed(lines, "* ")])
    if content.waits:
        yield _wrapped(content.waits)
    if content.todo:
        steps = [f"{number}. {text}" for number, text in enumerate(content.todo, 1)]
        yield "\n".join(["What to do:", *_listed(steps, "")])
    if content.facts:
        width = max(len(name) for name, _ in content.facts) + 1
        yield "\n".join(f"{name + ':':<{width}} {value}" for name, value in content.facts)
    yield f"-- \n{_wrapped(foot)}"


def _listed(lines: Iterable[str], bullet: str) -> Iterator[str]:
    for line in lines:
        yield _wrapped(line, first=f"  {bullet}", rest=f"  {' ' * (len(bullet) or 3)}")


def _wrapped(text: str, *, first: str = "", rest: str = "") -> str:
    return "\n".join(wrapped(text, _WIDTH, first=first, rest=rest))
