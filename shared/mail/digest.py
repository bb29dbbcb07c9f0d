"""The digest: one mail a day about all files of a connection, from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from shared.core import CODES, count
from shared.ledger import ENDED, LOADED, Import, RowCounts
from shared.mail.texts import Content, counts_of, first_sentence, name_of, short_time

LISTED = 15
"""Largest number of lines about files to fix; the others are counted."""


def digest(
    imports: Iterable[Import], *, begin: datetime, held: int, zone: tzinfo
) -> Content | None:
    """Return the content about the files that were uploaded since `begin`; None if there were none.

    Dry runs, and uploads that a newer one has replaced, are left out. `held` events were not mailed
    on their own.
    """
    files = sorted(
        (one for one in imports if one.mode != "test" and one.status != "superseded"),
        key=lambda one: (one.uploaded_at, one.import_id),
    )
    if not files:
        return None
    loaded = [one for one in files if one.status in LOADED]
    to_fix = [one for one in files if one.status == "rejected" or one.rows.rejected]
    failed = [one for one in files if one.status == "failed"]
    open_ = [one for one in files if one.status not in ENDED]
    what = f"{len(to_fix):,} to fix" if to_fix else "all loaded"
    if not to_fix and len(loaded) < len(files):
        what = f"{len(loaded):,} loaded"
    groups = (
        ("Files to fix", _listed(_to_fix(to_fix, zone))),
        ("Files that wait, or are being loaded", _listed([_waiting(one, zone) for one in open_])),
        (
            "Files that we could not load; we are looking into it",
            _listed([name_of(one, zone) for one in failed]),
        ),
        ("Loaded", tuple(_by_type(loaded))),
    )
    lead = f"{count(len(files), 'file')} arrived since {short_time(begin, zone)}: {what}."
    if held:
        lead += (
            f" {count(held, 'event')} had no mail of their own, because there were too many or one "
            "like it had just been mailed."
        )
    return Content(
        mark="!" if to_fix else "✓" if len(loaded) == len(files) else "",
        verdict=f"{count(len(files), 'file')} since {short_time(begin, zone)}: {what}",
        lead=lead,
        counts=counts_of(sum((one.rows for one in files if one.status in ENDED), RowCounts())),
        groups=tuple((head, lines) for head, lines in groups if lines),
        todo=("Read the report of each file to fix, in the folder reports/ of the SFTP server.",)
        if to_fix
        else (),
    )


def _by_type(files: Sequence[Import]) -> Iterable[str]:
    types: defaultdict[str, list[Import]] = defaultdict(list)
    for one in files:
        types[str(one.type)].append(one)
    for type, found in sorted(types.items()):
        rows = sum((one.rows for one in found), RowCounts())
        yield (
            f"{type}: {count(len(found), 'file')}, {count(rows.good, 'row')} "
            f"without errors, {rows.rejected:,} with"
        )


def _to_fix(files: Sequence[Import], zone: tzinfo) -> list[str]:
    """Return a line for each type and code, most files first."""
    found: defaultdict[tuple[str, str], list[Import]] = defaultdict(list)
    for one in files:
        found[one.type or "", one.error.code if one.error else ""].append(one)
    lines = []
    for (_, code), same in sorted(found.items(), key=lambda each: -len(each[1])):
        first = same[0]
        name = name_of(first, zone) if first.exported_at else first.file
        if len(same) > 1 and code:
            meaning = CODES[code].meaning if code in CODES else code
            lines.append(f"{len(same):,} files, the first {name}: {meaning}")
        elif code and first.error is not None:
            lines.append(f"{name}: nothing loaded – {first_sentence(first.error.message)}")
        else:
            rows = sum(one.rows.rejected for one in same)
            which = name if len(same) == 1 else f"{len(same):,} files of {first.type}"
            lines.append(f"{which}: {count(rows, 'row')} not loaded")
    return lines


def _waiting(one: Import, zone: tzinfo) -> str:
    return f"{name_of(one, zone)}: {one.status_text}"


def _listed(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - LISTED
    return (*lines[:LISTED], *((f"… and {more:,} more",) if more > 0 else ()))
