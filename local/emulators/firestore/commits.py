"""Applies the writes of one request to the store, all together or each separately."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from local.emulators.firestore.names import Document
from local.emulators.firestore.refusals import Refused, invalid
from local.emulators.firestore.store import Change, Reader, Store
from local.emulators.firestore.writes import Content, Write


@dataclass(frozen=True, slots=True)
class Written:
    """Result of one write."""

    updated: int | None
    """Update time of the document afterwards; None if the document is gone."""
    transforms: Sequence[Any] = ()
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a request."""

    version: int
    written: Sequence[Written]


@dataclass(slots=True)
class _Staged:
    """A document during the writes of one commit."""

    before: Content | None
    fields: bytes | None
    replaced: bool = False
    """True if it was deleted during the commit: later writes make a new document."""


def commit(
    store: Store, writes: Sequence[Write], *, check: Callable[[Reader], None] | None = None
) -> Outcome:
    """Apply all writes, or none if one is refused.

    `check` is called first, with the state before the writes. It may refuse them all.
    """
    _check_sequence(writes)
    transforms: list[list[Any]] = []
    afterwards: dict[Document, Content | None] = {}

    def decide(reader: Reader, version: int) -> Iterable[Change]:
        if check is not None:
            check(reader)
        stored = reader.get_all(list({write.document: None for write in writes}))
        staged: dict[Document, _Staged] = {}
        for write in writes:
            stage = staged.get(write.document)
            if stage is None:
                before = stored.get(write.document)
                write.check(before)
                stage = _Staged(before, before.fields if before else None)
                staged[write.document] = stage
            stage.fields, results = write.apply(stage.fields, micros=version)
            stage.replaced = stage.replaced or stage.fields is None
            transforms.append(results)
        for document, stage in staged.items():
            after = _after(stage.before, stage.fields, version, replaced=stage.replaced)
            afterwards[document] = after
            yield Change(document, stage.before, after)

    version = store.commit(decide).version
    written = []
    for write, results in zip(writes, transforms, strict=True):
        content = afterwards[write.document]
        written.append(Written(content.updated if content else None, results))
    return Outcome(version, written)


def _check_sequence(writes: Sequence[Write]) -> None:
    latest: dict[Document, Write] = {}
    for write in writes:
        if write.document in latest:
            write.check_after(latest[write.document])
        latest[write.document] = write


def batch(store: Store, writes: Sequence[Write]) -> Outcome:
    """Apply each write separately. A refused write does not affect the others."""
    if len({write.document for write in writes}) < len(writes):
        raise invalid("the same document cannot be written more than once in a single request")
    written: list[Written] = []

    def decide(reader: Reader, version: int) -> Iterable[Change]:
        stored = reader.get_all([write.document for write in writes])
        for write in writes:
            before = stored.get(write.document)
            try:
                write.check(before)
                fields, results = write.apply(before.fields if before else None, micros=version)
            except Refused as refusal:
                written.append(Written(None, refusal=refusal))
                continue
            after = _after(before, fields, version)
            written.append(Written(after.updated if after else None, results))
            yield Change(write.document, before, after)

    return Outcome(store.commit(decide).version, written)


def _after(
    before: Content | None, fields: bytes | None, version: int, *, replaced: bool = False
) -> Content | None:
    """Return the content after a write; the same object as before if nothing changed."""
    if fields is None:
        return None
    if before is None or replaced:
        return Content(version, version, fields)
    if fields == before.fields:
        return before
    return Content(before.created, version, fields)
