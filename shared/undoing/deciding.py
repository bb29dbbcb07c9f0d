"""Decisions about each document of an import that is undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.core import get, put
from shared.firestore.bulk import Leave, Put, Remove, Stored
from shared.index import (
    Origin,
    decide,
    disowned,
    holds_content,
    source_age,
    withdrawing,
    without_word,
)
from shared.ledger import Age, Import
from shared.parsing import Incoming
from shared.undoing.provenance import Author


@dataclass(frozen=True, slots=True)
class Said:
    """A document's content in another export."""

    incoming: Incoming
    origin: Origin
    withdrawn: Mapping[str, Age]
    """Consent that undone imports withdrew, with its age; see `AffectedKeys.withdrawn_at`."""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A document that no other export holds."""

    removable: bool
    """True if only the import can have created the document."""
    withdrawn: Mapping[str, Age]
    """As in `Said`."""


def is_only_creator(import_: Import, gone: Sequence[Import], *, created: bool) -> bool:
    """Return True if only the import can have created a document that no other export holds.

    `created` is True if the document was created after the import arrived. `gone` are exports that
    can no longer be read. An older document may come from any of these. A newer document can only
    come from one that ended after the import arrived.
    """
    if not created:
        return not gone
    return not any(
        one.finished_at is None or one.finished_at >= import_.uploaded_at for one in gone
    )


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions on the content that replaces the import's."""

    author: Author
    consent: frozenset[str]
    """Fields of the type that hold consent."""
    now: Callable[[], datetime]

    def by_export(
        self, said: Said, stored: Stored | None, *, create_only: bool = False, late: bool = False
    ) -> Put | Leave:
        """Decide what a document gets from another export.

        Args:
            said: the document in the other export.
            stored: the document as it is stored; None if there is none.
            create_only: True for a first load.
            late: True if the export was loaded after an earlier attempt at this undoing. That
                attempt may have removed the document, because no export held it then.
        """
        removed = stored is None and late
        if removed:
            stored = Stored({"source": {}}, None)
        if stored is None:
            return Leave("somebody has removed it")
        if removed or self.author.wrote(stored.data):
            remains = self._disowned(stored, said.withdrawn, said.incoming)
            return decide(
                said.incoming, remains, origin=said.origin, consent=self.consent, create_only=False
            )
        if self.author.wrote_part(stored.data):
            return self._without_word(said.incoming, stored, said.withdrawn, said.origin)
        age = source_age(stored)
        if age is None:
            return Leave("no import has written it")
        same = age < said.origin.age and holds_content(stored, said.incoming)
        stored, stays = withdrawing(stored, said.withdrawn, self.consent)
        if same:
            return _withdrawn(Leave("the other export has found it as it is"), stored, stays)
        # The other export may be newer, and not be in the document: it was outdated if the import
        # had confirmed what was stored.
        decision = decide(
            said.incoming, stored, origin=said.origin, consent=self.consent, create_only=create_only
        )
        return _withdrawn(decision, stored, stays)

    def without_export(self, unsaid: Unsaid, stored: Stored | None) -> Put | Remove | Leave:
        """Decide about a document that no other export holds."""
        if stored is None:
            return Leave("somebody has removed it")
        if self.author.wrote_part(stored.data):
            nobody = Origin(import_id="", exported_at=self.author.age.exported_at, generation=0)
            return self._without_word(None, stored, unsaid.withdrawn, nobody)
        if not self.author.wrote(stored.data):
            return Leave("it is no longer the import's")
        if unsaid.removable:
            return Remove()
        remains = self._disowned(stored, unsaid.withdrawn, None)
        patch = {"source": remains.data["source"]}
        for path in unsaid.withdrawn:
            put(patch, path, get(remains.data, path))
        return Put(data=patch, only=(*sorted(unsaid.withdrawn), "source"))

    def withdrawn_at(self) -> Age:
        """Return the age given to the consent that the import withdrew.

        The age names no upload (generation 0), so the consent no longer belongs to the import.
        """
        return Age(min(self.author.age.exported_at, self.now()), 0)

    def _disowned(
        self,
        stored: Stored,
        withdrawn: Mapping[str, Age],
        incoming: Incoming | None,
    ) -> Stored:
        return disowned(
            stored,
            is_word=self.author.said,
            by=self.withdrawn_at(),
            withdrawn=withdrawn,
            incoming=incoming,
            consent=self.consent,
        )

    def _without_word(
        self,
        incoming: Incoming | None,
        stored: Stored,
        withdrawn: Mapping[str, Age],
        origin: Origin,
    ) -> Put | Leave:
        return without_word(
            incoming,
            stored,
            self.author.said,
            by=self.withdrawn_at(),
            now=self.now(),
            withdrawn=withdrawn,
            origin=origin,
            consent=self.consent,
        )


def _withdrawn(decision: Put | Leave, stored: Stored, stays: frozenset[str]) -> Put | Leave:
    """Return a decision that also writes the consent `stays`; `stored` has it as withdrawn.

    A write of the whole document is unchanged: it was decided on with that consent.
    """
    if not stays:
        return decision
    if isinstance(decision, Leave):
        decision = Put(data={"source": stored.data["source"]}, only=("source",))
    if decision.only is None:
        return decision
    data, only = dict(decision.data), frozenset(decision.only)
    for path in stays - only:
        put(data, path, False)
    return Put(data=data, only=tuple(sorted(only | stays)))
