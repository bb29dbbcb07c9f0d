"""Takes an import back: its documents get what the other exports say of their keys.

The other exports are read again from where their files lie, and `decide` says who wins
among them, as if the import had never been. Consent that the import withdrew stays withdrawn until
a file that is exported later says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.core import (
    ConnectionSettings,
    FileRejected,
    LeaseLost,
    NotPossible,
    Problem,
    TryAgain,
    get,
    put,
)
from shared.files import ExportFile, Exports, Header, parse_import_id, read_name
from shared.files.types import FileType, file_type
from shared.firestore.bulk import Leave, Outcome, Put, Remove, Stored, Writer
from shared.gcp.storage import Unusable
from shared.index import (
    RECORD,
    UNKNOWN,
    IndexRecords,
    Origin,
    Stamp,
    Table,
    age_of,
    decide,
    disowned,
    find,
    holds_word,
    is_disowned,
    look_at,
    merged,
    objects,
    origin_of,
    source_age,
    stamp_of,
    without_word,
)
from shared.ledger import (
    BEAT_SECONDS,
    ENDED,
    LOADED,
    Feed,
    Holder,
    Import,
    Index,
    LedgerTransaction,
    Newest,
    Running,
    import_path,
    new_owner,
    without,
)
from shared.ledger.uploads import Source
from shared.loading import wake_dependants
from shared.parsing import Examination, Incoming, Keys, Plan, hashes
from shared.reporting import OUTDATED, resolve_alerts, sentences
from shared.services import Services

UNDER = "undo"
"""What stands in the mark of the index while an import is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What came of it, or would come."""

    connection: str
    import_id: str
    documents: int
    """Documents whose content comes from the import."""
    restored: int
    """Those that get what another export says."""
    removed: int
    """Those that only the import has created."""
    left: int
    """Those that were there before, and of which no export is left: they keep their content."""
    exports: tuple[str, ...]
    """The exports that hold such documents."""
    gone: tuple[str, ...]
    """Exports whose files are no longer there, or cannot be read."""


def undo(connection: str, import_id: str, services: Services, *, dry_run: bool = False) -> Undone:
    """Take an import back, or say what would come of it.

    Safe to repeat, and to call again after it broke off.

    Raises:
        NotPossible: there is no such import, it has not ended, or it never loads anything; or a
            file of its type is being loaded.
        SettingsError: a setting of the connection cannot be used.
        LeaseLost: a newer upload of the same name has begun meanwhile, or this took too long.
        TryAgain: Firestore or Cloud Storage could not be reached.
    """
    where = connection, import_id
    import_ = services.ledger.get_many([where]).get(where)
    _refuse(import_, connection, import_id)
    assert import_ is not None
    hold = _Hold(services, import_)
    if not dry_run:
        hold.take()
    undoing = _Undoing(import_, services, hold)
    try:
        undoing.look()
        if not dry_run:
            undoing.remember_withdrawals()
        for other in undoing.others():
            undoing.apply(other, dry_run=dry_run)
        undone = undoing.come_to() if dry_run else undoing.settle()
    except BaseException:
        hold.release()
        raise
    if not dry_run:
        wake_dependants(import_, services)
    return undone


def _refuse(import_: Import | None, connection: str, import_id: str) -> None:
    if import_ is None:
        raise NotPossible(f"There is no import {import_id} in the connection {connection}.")
    if import_.exported_at is None or import_.mode == "test":
        raise NotPossible(f"{import_id} has never loaded anything: there is nothing to undo.")
    if import_.status not in ENDED:
        raise NotPossible(f"{import_id} is {import_.status}. Try again when it has ended.")


class _Hold:
    """The feed, held so that no import of the type begins meanwhile."""

    def __init__(self, services: Services, import_: Import) -> None:
        self._services = services
        self._import = import_
        self._owner = new_owner()
        self._due: datetime | None = None
        self.mark: Holder | None = None
        """The mark of the index; None where only a look is taken."""

    def take(self) -> None:
        """Take the feed, mark its index as not to be trusted, and say so in the ledger.

        Raises:
            NotPossible: a file of the type is being loaded, or the import has changed.
        """

        def take(ledger: LedgerTransaction) -> Holder:
            mine, now = self._import, self._services.now()
            current = ledger.import_(mine.connection, mine.import_id)
            feed = ledger.feed(mine.connection, str(mine.type))
            if current is None or current.generation != mine.generation:
                raise NotPossible(f"{mine.import_id}: a newer upload has taken over.")
            _refuse(current, mine.connection, mine.import_id)
            running = feed.running
            if running is not None and now < running.expires_at and running.owner != self._owner:
                raise NotPossible(
                    f"{running.import_id} is being loaded or undone. Try again when that has ended."
                )
            before = feed.index_held_by
            ours = (mine.import_id, mine.generation, UNDER)
            again = before is not None and ours == (
                before.import_id,
                before.generation,
                before.under,
            )
            clean = before is None or (again and before.clean)
            mark = Holder(
                import_id=mine.import_id, generation=mine.generation, under=UNDER, clean=clean
            )
            ledger.put_feed(replace(feed, running=self._running(now), index_held_by=mark))
            if current.status_text != sentences.undoing():
                ledger.put(current.saying(sentences.undoing(), now=now))
            return mark

        self.mark = self._services.ledger.transact(take)
        self._due = self._services.now() + timedelta(seconds=BEAT_SECONDS)

    def check(self) -> None:
        """Make sure that the feed is still held, and renew that when it is due.

        Raises:
            LeaseLost: another import has begun.
        """
        if self._due is None:
            return

        def renew(ledger: LedgerTransaction) -> None:
            ledger.put_feed(replace(self.own(ledger), running=self._running(self._services.now())))

        while self._services.now() >= self._due:
            asked = self._services.now()
            self._services.ledger.transact(renew)
            self._due = asked + timedelta(seconds=BEAT_SECONDS)
            # An answer that took longer than the lease says nothing about now.
            if self._services.now() - asked < self._services.deployment.lease:
                break

    def own(self, ledger: LedgerTransaction) -> Feed:
        """Return the feed, which is still held.

        Raises:
            LeaseLost: another import has begun.
        """
        feed = ledger.feed(self._import.connection, str(self._import.type))
        if feed.running is None or feed.running.owner != self._owner:
            self._due = datetime.min.replace(tzinfo=UTC)
            raise LeaseLost(f"Another import has begun while {self._import.import_id} was undone.")
        return feed

    def release(self) -> None:
        """Let other imports begin, if that can be done now; what was begun stays marked."""

        def release(ledger: LedgerTransaction) -> None:
            feed = ledger.feed(self._import.connection, str(self._import.type))
            ledger.put_feed(without(feed, self._owner))

        if self._due is not None:
            with suppress(TryAgain):  # it ends by itself
                self._services.ledger.transact(release)

    def _running(self, now: datetime) -> Running:
        return Running(
            import_id=self._import.import_id,
            owner=self._owner,
            expires_at=now + self._services.deployment.lease,
        )


class _Document(NamedTuple):
    """A document whose content comes from the import."""

    id: str
    mine: bool
    """Whether all of it does, and not only what newer files have left open."""
    created: bool
    """Whether it has been created since the import arrived."""
    stamp: Stamp
    """The age of the file that wrote it last, if that is not the import."""


@dataclass(slots=True)
class _Keys:
    """The keys whose latest known file is the import, or whose content comes from it."""

    keys: Keys
    mine: NDArray[np.bool_]
    """Whose content comes from the import."""
    partly: NDArray[np.bool_]
    """Of whose content a newer file has left some values of the import as they were."""
    created: NDArray[np.bool_]
    """Whose document has been created since the import arrived."""
    found: NDArray[np.bool_]
    """Which another export holds."""
    exported: NDArray[np.int64]
    """When the latest of these was exported, in microseconds since 1970."""
    generation: NDArray[np.int64]
    """Which upload that is."""
    withdrawn: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Path of a consent -> when an import that was undone before withdrew it, in microseconds since
    1970; 0 if none did."""

    def withdrawn_at(self, place: int) -> dict[str, tuple[datetime, int]]:
        """Return the consent of a key that imports withdrew which were undone before, and when; of
        no upload, so that it is nobody's word."""
        found = {path: int(stamps[place]) for path, stamps in self.withdrawn.items()}
        return {path: age_of((stamp, 0)) for path, stamp in found.items() if stamp}


@dataclass(frozen=True, slots=True)
class _Said:
    """What another export says of a document."""

    incoming: Incoming
    origin: Origin
    withdrawn: Mapping[str, tuple[datetime, int]]
    """The consent that imports withdrew which were undone before, and when."""


@dataclass(frozen=True, slots=True)
class _Export:
    """Another export, read, and judged again."""

    examination: Examination
    plan: Plan
    places: NDArray[np.int64]
    """Where each of its documents is among the affected keys; -1 if it is none of them."""
    origin: Origin

    def layers(self) -> Iterator[Iterator[tuple[Incoming, int, Origin]]]:
        """Give what each layer of the plan says of the affected keys, where each key is among them,
        and how old the row is. One layer must be written before the next."""
        return (self._said(layer) for layer in range(self.plan.layers))

    def _said(self, layer: int) -> Iterator[tuple[Incoming, int, Origin]]:
        exported = self.plan.exported
        for block in self.examination.documents(self.plan, layer):
            places = self.places[np.array(block.places, np.int64)]
            for at in np.flatnonzero(places >= 0).tolist():
                origin = self.origin
                if exported:
                    exported_at = age_of((int(exported[layer][block.places[at]]), 0))[0]
                    origin = replace(origin, exported_at=exported_at, corrected=True)
                yield block[at], int(places[at]), origin


@dataclass(slots=True)
class _HoldRenewal:
    """Keeps the feed held while a file is read."""

    check: Callable[[], None]

    def begun(self, header: Header, delimiter: str) -> None:
        """Do nothing."""

    def beat(self, bytes_read: int, percent: int) -> None:
        """Make sure that the feed is still held."""
        self.check()

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Do nothing: the row was rejected when the file was loaded."""


@dataclass(slots=True)
class _Undoing:
    """One attempt at taking an import back."""

    import_: Import
    services: Services
    hold: _Hold
    settings: ConnectionSettings = field(init=False)
    affected: _Keys = field(init=False)
    exports: list[str] = field(default_factory=list)
    gone: list[Import] = field(default_factory=list)

    def __post_init__(self) -> None:
        connection = self.import_.connection
        self.settings = ConnectionSettings.from_document(
            self.services.ledger.connection_document(connection),
            connection=connection,
            deployment=self.services.deployment,
        )

    @property
    def type(self) -> FileType:
        """The type of the import."""
        return file_type(str(self.import_.type))

    @property
    def collection(self) -> str:
        """Path of the documents' collection."""
        return f"connections/{self.import_.connection}/{self.type.collection}"

    @property
    def age(self) -> tuple[datetime, int]:
        """The age of the import."""
        assert self.import_.exported_at is not None
        # As a plain datetime: Firestore's own kind cannot be written again.
        return age_of(stamp_of((self.import_.exported_at, self.import_.generation)))

    def is_mine(self, data: Any) -> bool:
        """Whether the content of a document comes from the import."""
        source = data.get("source") or {}
        generation = source.get("generation")
        return bool(
            source.get("import") == self.import_.import_id
            and not is_disowned(data)
            and (not isinstance(generation, int) or generation <= self.import_.generation)
        )

    def is_word(self, age: tuple[datetime, int]) -> bool:
        """Whether a value of that age comes from the import."""
        exported_at, generation = self.age
        return age[1] == generation or (age[0] == exported_at and 0 < age[1] < generation)

    def is_partly_mine(self, data: Any) -> bool:
        """Whether some values of a document come from the import."""
        return not self.is_mine(data) and holds_word(data, self.is_word)

    # -- what is affected ---------------------------------------------------------------------

    def look(self) -> None:
        """Find out which keys are affected."""
        rows = [np.empty(0, _AFFECTED)]
        batch: list[_Document] = []
        for one in self._mine():
            batch.append(one)
            if len(batch) >= 10_000:
                rows.append(_affected(batch))
                batch.clear()
        rows.append(_affected(batch))
        exported, generation = stamp_of(self.age)
        for block in self._records():
            known = block[(block["exported"] == exported) | (block["generation"] == generation)]
            some = np.zeros(len(known), _AFFECTED)
            some["high"], some["low"] = known["high"], known["low"]
            rows.append(some)
        found = np.concatenate(rows)
        found = found[np.lexsort((found["low"], found["high"]))]
        first = np.ones(len(found), bool)
        first[1:] = (found["high"][1:] != found["high"][:-1]) | (
            found["low"][1:] != found["low"][:-1]
        )
        starts = np.flatnonzero(first)
        count = len(starts)

        def any_(name: str) -> NDArray[np.bool_]:
            empty = np.zeros(0, bool)
            return np.logical_or.reduceat(found[name], starts) if count else empty

        def highest(name: str) -> NDArray[np.int64]:
            empty = np.zeros(0, np.int64)
            return np.maximum.reduceat(found[name], starts) if count else empty

        self.affected = _Keys(
            keys=Keys(found["high"][first].copy(), found["low"][first].copy()),
            mine=any_("mine"),
            partly=any_("partly"),
            created=any_("created"),
            found=np.zeros(count, bool),
            exported=highest("exported"),
            generation=highest("generation"),
        )

    def _mine(self) -> Iterator[_Document]:
        """Give the documents whose content comes from the import, whole or in part."""
        database = self.services.ledger.database
        path = import_path(self.import_.connection, self.import_.import_id)
        arrived = database.created_at(path)  # by the same clock
        for id, data, created in database.scan(self.collection, ("source",)):
            self.hold.check()
            mine = self.is_mine(data)
            if mine or holds_word(data, self.is_word):
                new = arrived is not None and created >= arrived
                age = None if mine else source_age(Stored(data, None))
                yield _Document(id, mine, new, (0, 0) if age is None else stamp_of(age))

    def _records(self) -> Iterator[IndexRecords]:
        feed = self._feed()
        index, _ = look_at(feed, self.services, tick=self.hold.check)
        try:
            for part in index.parts if index else ():
                yield from objects.read(self.services.bucket, part, tick=self.hold.check)
        except Unusable as error:
            raise TryAgain("The index was lost in the meantime.") from error

    def _feed(self) -> Feed:
        return self.services.ledger.feed(self.import_.connection, str(self.import_.type))

    # -- what others say ----------------------------------------------------------------------

    def others(self) -> list[Import]:
        """Return the other imports that count: the latest-exported first, first loads last."""
        return [one for one in self._ended(*LOADED) if one.undone is None]

    def _ended(self, *statuses: str) -> list[Import]:
        found = [
            one
            for one in self.services.ledger.find(
                self.import_.connection, type=str(self.import_.type)
            )
            if one.status in statuses
            and one.mode != "test"
            and one.import_id != self.import_.import_id
            and one.exported_at is not None
        ]
        return sorted(
            found,
            key=lambda one: (one.mode == "load", one.exported_at, one.generation),
            reverse=True,
        )

    def remember_withdrawals(self) -> None:
        """Note the consent that imports withdrew which were undone before: it stays withdrawn."""
        affected = self.affected
        for other in self._ended(*LOADED, "failed"):
            if other.undone is None or other.mode != "load" or not self.type.consent:
                continue
            try:
                export = self._read(other)
            except FileRejected:
                continue  # its file is no longer there
            layers = export.layers() if export else ()
            for incoming, place, origin in chain.from_iterable(layers):
                stamp = stamp_of((min(origin.exported_at, other.undone), 0))[0]
                for path in self.type.consent:
                    if get(incoming.content, path) is False:
                        empty = np.zeros(len(affected.found), np.int64)
                        stamps = affected.withdrawn.setdefault(path, empty)
                        stamps[place] = max(stamps[place], stamp)

    def _read(self, other: Import) -> _Export | None:
        """Read another export; None if it holds none of the affected keys.

        Raises:
            FileRejected: its file is no longer there, or cannot be read.
        """
        self.hold.check()
        affected, named = self.affected, read_name(other.object)
        if not isinstance(named, ExportFile) or not len(affected.found):
            return None
        examination = Examination(
            self.type,
            self.settings,
            open=Source(self.services.bucket, other).open,
            size=other.size,
            watcher=_HoldRenewal(self.hold.check),
            first_load=other.mode == "bulk",
            exports=Exports(named.type, latest=named.exported_at),
        )
        plan = examination.judge()
        rows = np.zeros(plan.documents, RECORD)
        rows["high"], rows["low"] = plan.keys
        places = find(affected.keys, rows)
        if not (places >= 0).any():
            return None
        return _Export(examination, plan, places, origin_of(other, named))

    def apply(self, other: Import, *, dry_run: bool) -> None:
        """Give the documents what another export says of them."""
        affected = self.affected
        try:
            export = self._read(other)
        except FileRejected:
            self.gone.append(other)
            return
        if export is None:
            return
        self.exports.append(other.import_id)
        plan, origin = export.plan, export.origin
        theirs = np.flatnonzero(export.places >= 0)
        where = export.places[theirs]
        affected.found[where] = True
        for exported in plan.exported or (np.full(plan.documents, stamp_of(origin.age)[0]),):
            at = exported[theirs]
            later = (at > affected.exported[where]) | (
                (at == affected.exported[where]) & (other.generation > affected.generation[where])
            )
            affected.exported[where[later]] = at[later]
            affected.generation[where[later]] = other.generation
        if not dry_run:
            self._write(export, create_only=other.mode == "bulk")

    def _write(self, export: _Export, *, create_only: bool) -> None:
        def decide_(said: _Said, stored: Stored | None) -> Put | Leave:
            return self._decide(said, stored, create_only=create_only)

        for layer in export.layers():
            with self._writer(decide_) as writer:
                for incoming, place, origin in layer:
                    if create_only:  # a first load says nothing about consent
                        incoming = replace(incoming, keep=incoming.keep | self.type.consent)
                    withdrawn = self.affected.withdrawn_at(place)
                    writer.add(incoming.key, _Said(incoming, origin, withdrawn))

    def _decide(self, said: _Said, stored: Stored | None, *, create_only: bool) -> Put | Leave:
        if stored is None:
            return Leave("somebody has removed it")
        consent = self.type.consent
        if self.is_mine(stored.data):
            remains = disowned(
                stored,
                is_word=self.is_word,
                by=self._withdrawn_at(),
                withdrawn=said.withdrawn,
                incoming=said.incoming,
                consent=consent,
            )
            return decide(
                said.incoming, remains, origin=said.origin, consent=consent, create_only=False
            )
        if self.is_partly_mine(stored.data):
            return without_word(
                said.incoming,
                stored,
                self.is_word,
                by=self._withdrawn_at(),
                withdrawn=said.withdrawn,
                origin=said.origin,
                consent=consent,
            )
        age = source_age(stored)
        if age is None or (age < said.origin.age and not _is_corrected(stored)):
            return Leave("the other export has found it as it is")
        return decide(
            said.incoming, stored, origin=said.origin, consent=consent, create_only=create_only
        )

    def _withdrawn_at(self) -> tuple[datetime, int]:
        """Return how old the consent is taken to be that the import withdrew; of no upload, so that
        it is not the import's word any more."""
        return min(self.age[0], self.services.now()), 0

    def _withdrawn_of(self, id: str) -> Mapping[str, tuple[datetime, int]]:
        if not self.affected.withdrawn:
            return {}
        row = np.zeros(1, RECORD)
        row["high"], row["low"] = hashes([id]).T
        place = int(find(self.affected.keys, row)[0])
        return self.affected.withdrawn_at(place) if place >= 0 else {}

    def _writer(self, decide_: Callable[[_Said, Stored | None], Any]) -> Writer[_Said]:
        def settled(said: _Said, outcome: Outcome) -> None:
            """Take no note: what has become of the documents is looked at in the end."""

        return Writer(
            self.services.documents,
            self.collection,
            decide=decide_,
            mask=None,
            on_result=settled,
            guard=self.hold.check,
        )

    # -- the end ------------------------------------------------------------------------------

    def come_to(self) -> Undone:
        """Return what would come of it."""
        affected = self.affected
        found = affected.mine & affected.found
        rest = affected.mine & ~affected.found
        removed = (
            rest
            & np.array([self._is_only(one) for one in (False, True)])[
                affected.created.astype(np.int64)
            ]
        )
        return Undone(
            connection=self.import_.connection,
            import_id=self.import_.import_id,
            documents=int((affected.mine | affected.partly).sum()),
            restored=int((found | affected.partly).sum()),
            removed=int(removed.sum()),
            left=int(rest.sum()) - int(removed.sum()),
            exports=tuple(self.exports),
            gone=tuple(one.import_id for one in self.gone),
        )

    def _is_only(self, created: bool) -> bool:
        """Whether only the import can have created a document that no other export holds.

        `created` says that it has been created since the import arrived. Otherwise, or if an export
        is gone that was loaded since, it may have been there before.
        """
        uploaded = self.import_.uploaded_at
        return not self.gone or (
            created
            and not any(one.finished_at is None or one.finished_at >= uploaded for one in self.gone)
        )

    def settle(self) -> Undone:
        """See to the documents that no other export holds, and let the feed forget the import."""
        undone = self.come_to()

        def decide_(said: _Said, stored: Stored | None) -> Put | Remove | Leave:
            if stored is None:
                return Leave("somebody has removed it")
            if self.is_partly_mine(stored.data):
                return without_word(
                    None,
                    stored,
                    self.is_word,
                    by=self._withdrawn_at(),
                    withdrawn=said.withdrawn,
                    origin=said.origin,
                    consent=self.type.consent,
                )
            if not self.is_mine(stored.data):
                return Leave("it is no longer the import's")
            if self._is_only(bool(said.incoming.place)):
                return Remove()
            remains = disowned(
                stored,
                is_word=self.is_word,
                by=self._withdrawn_at(),
                withdrawn=said.withdrawn,
                incoming=None,
                consent=self.type.consent,
            )
            patch = {"source": remains.data["source"]}
            for path in said.withdrawn:
                put(patch, path, get(remains.data, path))
            return Put(data=patch, only=(*sorted(said.withdrawn), "source"))

        assert self.import_.exported_at is not None
        origin = Origin(import_id="", exported_at=self.import_.exported_at, generation=0)
        with self._writer(decide_) as writer:
            for one in self._mine():
                incoming = Incoming(
                    key=one.id, wire=b"", keep=frozenset(), lines=(0,), place=int(one.created)
                )
                writer.add(one.id, _Said(incoming, origin, self._withdrawn_of(one.id)))
        self._forget(undone)
        return undone

    def _forget(self, undone: Undone) -> None:
        """Write an index that knows nothing of the import, and record that it is undone."""
        services, import_, mark = self.services, self.import_, self.hold.mark
        assert mark is not None
        feed = self._feed()
        index, until = look_at(feed, services, tick=self.hold.check)
        others = [one for one in self.others() if one.mode == "load"]
        ages = [(one.exported_at, one.generation) for one in self.others() if one.exported_at]
        newest = max(ages, default=None)
        after = None
        if index is not None and newest is not None:
            blocks = merged(self._records(), self._table(), trusted=mark.clean)
            folder = objects.folder(import_.connection, str(import_.type))
            part = objects.write(services.bucket, folder, blocks, tick=self.hold.check)
            exported_at, generation = newest
            after = Index(
                parts=(part,), newest=Newest(exported_at=exported_at, generation=generation)
            )
        if until is not None and until == self.age:
            until = newest
        latest = max(others, key=lambda one: one.import_id, default=None)

        def forget(ledger: LedgerTransaction) -> None:
            now = services.now()
            current = ledger.import_(import_.connection, import_.import_id)
            there = ledger.feed(import_.connection, str(import_.type))
            if (there.index, there.index_held_by) == (after, None):
                return  # an earlier try, whose answer was lost
            there = self.hold.own(ledger)
            if current is not None and current.generation != import_.generation:
                raise LeaseLost(f"{import_.import_id}: a newer upload has taken over.")
            if (there.index, there.index_held_by) != (feed.index, mark) or current is None:
                raise TryAgain("The index has been replaced in the meantime.")
            if there.latest == import_.import_id:
                there = replace(there, latest=latest.import_id if latest else None, header=())
            ledger.put_feed(
                replace(
                    there,
                    index=after,
                    index_held_by=None,
                    running=None,
                    confirmed_until=until and Newest(exported_at=until[0], generation=until[1]),
                )
            )
            about = {"connection": import_.connection, "about": str(import_.type)}
            resolve_alerts(ledger, OUTDATED, now=now, **about)
            text = sentences.undone(undone.restored, undone.removed, undone.left)
            ledger.put(replace(current.saying(text, now=now), undone=now))

        services.ledger.transact(forget)
        for old in feed.index.parts if feed.index else ():
            objects.delete(services.bucket, old)

    def _table(self) -> Table:
        """Return what the index is to say of the affected keys: how old what is known is, and
        nothing of contents."""
        affected = self.affected
        table = Table(affected.keys)
        which = np.flatnonzero(affected.exported)
        table.put(
            which,
            content=UNKNOWN,
            updated=0,
            stamp=(affected.exported[which], affected.generation[which]),  # type: ignore[arg-type]
        )
        older = [
            stamp_of((one.exported_at, one.generation))
            for one in self.gone
            if one.exported_at is not None and one.exported_at < self.age[0]
        ]
        if older:
            # What these have confirmed is not known any more: no file older than them counts.
            stamp: Stamp = max(older)
            table.put(
                np.flatnonzero(affected.exported == 0), content=UNKNOWN, updated=0, stamp=stamp
            )
        return table


_AFFECTED = np.dtype(
    [
        *(("high", "<u8"), ("low", "<u8")),
        *(("mine", "?"), ("partly", "?"), ("created", "?")),
        *(("exported", "<i8"), ("generation", "<i8")),
    ]
)


def _affected(documents: Sequence[_Document]) -> NDArray[Any]:
    rows = np.zeros(len(documents), _AFFECTED)
    if documents:
        rows["high"], rows["low"] = hashes([one.id for one in documents]).T
        rows["mine"] = [one.mine for one in documents]
        rows["partly"] = [not one.mine for one in documents]
        rows["created"] = [one.created for one in documents]
        rows["exported"] = [one.stamp[0] for one in documents]
        rows["generation"] = [one.stamp[1] for one in documents]
    return rows


def _is_corrected(stored: Stored) -> bool:
    """Whether a document's content comes from a corrected row, which is older than its file."""
    source = stored.data.get("source") or {}
    try:
        return bool(parse_import_id(source["import"])[2] != source["exportedAt"])
    except (KeyError, TypeError, ValueError):
        return False
