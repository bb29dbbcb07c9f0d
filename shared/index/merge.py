"""Merges what a file says about a document with what is stored: the later export wins per field.

Example: a document was written by Tuesday's export, which left `mobile` open. Monday's export
arrives late. It fills `mobile` and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from shared.core import Version, get, put
from shared.firestore.bulk import Leave, Put, Stored
from shared.index.records import UNKNOWN
from shared.index.source import (
    LONG_AGO,
    OPEN_FIELDS,
    Origin,
    fresh_sources,
    open_fields,
    source_age,
    source_of,
    version_of,
)
from shared.ledger import Age
from shared.parsing import INCOMPLETE, Incoming

_MOMENT = timedelta(microseconds=1)

OWN = "written by this import before"
NEWER = "a newer file has written this document"
EXISTS = "the document exists, and a first load only creates"
COMPLETE = "a complete document is stored, and a row of this one was rejected"


def decide(
    incoming: Incoming,
    stored: Stored | None,
    *,
    origin: Origin,
    consent: frozenset[str],
    create_only: bool,
    confirmed: Age | None = None,
    until: Age | None = None,
    content: int = UNKNOWN,
) -> Put | Leave:
    """Decide on one document: write it whole, fill open fields, or leave it unchanged.

    The content of a document is that of the latest-exported file that holds it. A field that this
    file leaves open has the value of the latest file that sets or clears the field. `source`
    records the ages of such values (`kept`, `keptGenerations`). `source` also lists the fields that
    no file has set or cleared (`open`). So the result does not depend on the order in which files
    are loaded, and a cleared field stays cleared.

    An incomplete document (a row was rejected) never replaces a complete document. A complete
    document replaces an incomplete one of any age.

    Args:
        incoming: the document as the file has it.
        stored: the document as it is stored; None where there is none. Of its data, only the
            fields that `needs` returns, and `source`, are read.
        origin: the file.
        consent: paths of the fields that hold consent. No file clears consent: a document without
            consent has had none from any file.
        create_only: True if the file creates documents and never changes one (`bulk/`).
        confirmed: the age of the latest file that is known to have held the document. `source` may
            name an older file, if the latest one found nothing to change.
        until: the age of the latest file that may have held the document, if that is not known. It
            is older than the file. The stored values still count as the import's that wrote them.
        content: hash of the document as the file has it, see `records.content_hashes`. `source`
            records the hash if the whole document is then as the file has it.
    """
    if stored is None:
        if confirmed is not None and confirmed > origin.age and not create_only:
            return Leave(NEWER)  # the document was removed by hand, and this file is outdated
        return fresh(incoming, origin, consent, content)
    age = source_age(stored)
    if create_only:
        return Leave(OWN if age == origin.age else EXISTS)
    if incoming.incomplete != (stored.data.get(INCOMPLETE) is True):
        if incoming.incomplete:
            return Leave(COMPLETE)
        return fresh(incoming, origin, consent, content)
    if confirmed is not None and (age is None or age < confirmed):
        age = confirmed
    said_at = age
    if until is not None and (age is None or age < until):
        age, said_at = until, _in_doubt(age, until)
    if age is None or age < origin.age or (age == origin.age and origin.replay):
        return _take_over(incoming, stored.data, age, said_at, origin, consent, content)
    if age == origin.age:
        return Leave(OWN)
    return _fill_in(incoming, stored.data, age, origin, consent)


def _in_doubt(age: Age | None, until: Age) -> Age:
    """Return the age of values that a file up to `until` may have confirmed.

    It is later than all older files, and names the upload that wrote the values, so that an undo
    of that upload finds them. `age` is the age of that upload; None if no import wrote them.
    """
    exported_at = until.exported_at - _MOMENT  # no file's own
    return max(age or LONG_AGO, Age(exported_at, age.generation if age else 0))


def needs(incoming: Incoming, consent: frozenset[str]) -> frozenset[str]:
    """Return the paths of the stored fields that `decide` reads, besides `source`."""
    return incoming.keep | consent | {INCOMPLETE}


def fresh(
    incoming: Incoming, origin: Origin, consent: frozenset[str], content: int = UNKNOWN
) -> Put:
    """Return the write of a document as the file has it, without any stored value."""
    contents = np.array((content,), np.uint64)
    (source,) = fresh_sources((incoming.line,), (incoming.keep,), contents, origin, consent)
    return Put(data={}, wire=incoming.wire + source)


def _take_over(
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age | None,
    said_at: Age | None,
    origin: Origin,
    consent: frozenset[str],
    content: int,
) -> Put:
    """Return the write of a newer file: the file's fields, and stored values for its open fields.

    `source` records `said_at` as the age of each stored value that is kept. It records no hash of
    the content if the stored consent is not what the file says: the next file must read the
    document, too.
    """
    withdrawn: tuple[str, ...] = ()
    if origin.corrected and age is not None and age[0] == origin.exported_at:
        # The row and the stored document are from one export, so neither is known to be newer.
        withdrawn = tuple(path for path in consent if get(stored, path) is False)
    earlier = version_of(stored, LONG_AGO if said_at is None else said_at, consent)
    ahead = {
        path: kept_age
        for path in consent
        if (kept_age := earlier.open.get(path)) is not None and kept_age > origin.age
    }
    if not incoming.keep and not withdrawn and not ahead:
        return fresh(incoming, origin, consent, content)
    version = Version.of(incoming.content, origin.age, incoming.keep)
    version.take(earlier)
    version.open |= ahead
    for path in withdrawn:
        put(version.content, path, False)
    for path in ahead:
        put(version.content, path, get(earlier.content, path))
    if withdrawn or ahead:
        content = UNKNOWN
    elif version.keep == incoming.keep:
        return fresh(incoming, origin, consent, content)
    source = source_of(incoming, origin, content) | open_fields(version.open, consent)
    return Put(data={**version.content, "source": source})


def _fill_in(
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age,
    origin: Origin,
    consent: frozenset[str],
) -> Put | Leave:
    """Return the write of an older file: only the fields that all newer files have left open.

    Return Leave if the older file has no value for any of them.
    """
    if not isinstance(stored.get("source"), Mapping):
        return Leave(NEWER)
    newer = version_of(stored, age, consent)
    if not newer.open:
        return Leave(NEWER)
    paths = newer.take(older_version(incoming, origin, consent))
    if not paths:
        return Leave(NEWER)
    return patch(stored["source"], newer, paths, consent)


def older_version(incoming: Incoming, origin: Origin, consent: frozenset[str]) -> Version[Age]:
    """Return an older file's version of a document; a blank consent is open."""
    unsaid = {path for path in consent if get(incoming.content, path) is None}
    return Version.of(incoming.content, origin.age, incoming.keep | unsaid)


def patch(
    source: Mapping[str, Any], version: Version[Age], paths: Iterable[str], consent: frozenset[str]
) -> Put:
    """Return the write of some fields of a version, and of what it leaves open in `source`.

    The hash of the content no longer holds, so `source` loses it.
    """
    changed = (*OPEN_FIELDS, "content")
    known = {name: value for name, value in source.items() if name not in changed}
    data: dict[str, Any] = {"source": known | open_fields(version.open, consent)}
    for path in paths:
        put(data, path, get(version.content, path))
    return Put(data=data, only=(*sorted(paths), "source"))
