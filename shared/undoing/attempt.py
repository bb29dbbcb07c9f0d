"""Undoes an import: its documents get the content of the other exports.

The files of the other exports are read again. `decide` chooses among them, as if the import had
never existed. Consent that the import withdrew is still withdrawn, until a file that is exported
later gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from shared.core import FileRejected, get
from shared.files.types import FileType, file_type
from shared.firestore.bulk import Outcome, Stored, Writer
from shared.index import holds_word, source_age, stamp_of
from shared.ledger import LOADED, Age, Import, import_path
from shared.loading import wake_dependents
from shared.parsing import INCOMPLETE
from shared.reporting import sentences
from shared.services import Services
from shared.undoing.affected import AffectedDocument, AffectedKeys
from shared.undoing.deciding import Decisions, Said, Unsaid, is_only_creator
from shared.undoing.ending import end, index_records
from shared.undoing.exports import ExportReader, OtherExport, ended_imports, imports_that_count
from shared.undoing.hold import FeedHold, undoable
from shared.undoing.provenance import Author

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Result of an undoing, or of a dry run of it."""

    connection: str
    import_id: str
    documents: int
    """Documents whose content comes from the import."""
    restored: int
    """Documents that get the content of another export."""
    removed: int
    """Documents that only the import has created."""
    left: int
    """Documents that existed before, and that no remaining export holds: their content is
    unchanged."""
    exports: tuple[str, ...]
    """Exports that hold such documents."""
    gone: tuple[str, ...]
    """Exports whose files are gone, or cannot be read."""


def undo(connection: str, import_id: str, services: Services, *, dry_run: bool = False) -> Undone:
    """Undo an import; in a dry run only return the result that it would have.

    Safe to repeat, also after an undoing that was interrupted.

    Raises:
        NotPossible: there is no such import, it has not ended, or it never loads anything; or a
            file of its type is being loaded.
        SettingsError: a setting of the connection cannot be used.
        LeaseLost: a newer upload of the same name has begun meanwhile, or this took too long.
        TryAgain: Firestore or Cloud Storage could not be reached.
    """
    import_ = undoable(services.ledger.import_(connection, import_id), connection, import_id)
    hold = FeedHold(services, import_)
    if not dry_run:
        hold.take()
    undoing = Undoing(import_, services, hold)
    try:
        undoing.look()
        if not dry_run:
            undoing.remember_withdrawals()
        for other in imports_that_count(services.ledger, import_):
            undoing.apply(other, dry_run=dry_run)
        undone = undoing.result()
        if not dry_run:
            undoing.end(undone)
    except BaseException:
        hold.release()
        raise
    if not dry_run:
        wake_dependents(import_, services)
    return undone


@dataclass(slots=True)
class Undoing:
    """One attempt at undoing an import."""

    import_: Import
    services: Services
    hold: FeedHold
    type: FileType = field(init=False)
    author: Author = field(init=False)
    decisions: Decisions = field(init=False)
    reader: ExportReader = field(init=False)
    affected: AffectedKeys = field(init=False)
    exports: list[str] = field(default_factory=list)
    gone: list[Import] = field(default_factory=list)

    def __post_init__(self) -> None:
        connection, services = self.import_.connection, self.services
        settings = services.settings_of(connection)
        self.type = file_type(str(self.import_.type))
        self.author = Author.of(self.import_)
        self.decisions = Decisions(self.author, self.type.consent, services.now)
        self.reader = ExportReader(services, settings, self.type, self.hold.check)

    @property
    def collection(self) -> str:
        """Path of the documents' collection."""
        return f"connections/{self.import_.connection}/{self.type.collection}"

    def look(self) -> None:
        """Find the affected keys."""
        records = index_records(self.import_, self.services, self.hold)
        self.affected = AffectedKeys.gather(self._documents(), records, stamp_of(self.author.age))

    def remember_withdrawals(self) -> None:
        """Record the consent that imports which were undone earlier withdrew, to keep it.

        Also that of this import, for documents that are not its own: it has confirmed what was
        stored, or an earlier attempt has restored or removed them.
        """
        ended = ended_imports(self.services.ledger, self.import_, *LOADED, "failed")
        undone = [(one, one.undone) for one in ended if one.undone is not None]
        for other, at in (*undone, (self.import_, self.services.now())):
            if other.mode != "load" or not self.type.consent:
                continue
            try:
                export = self.reader.read(other, self.affected)
            except FileRejected:
                continue  # its file is no longer there
            layers = export.layers() if export else ()
            for incoming, place, origin in chain.from_iterable(layers):
                if other is self.import_ and self.affected.mine[place]:
                    continue
                withdrawn_at = stamp_of(Age(min(origin.exported_at, at), 0))[0]
                for path in self.type.consent:
                    if get(incoming.content, path) is False:
                        self.affected.note_withdrawn(place, path, withdrawn_at)

    def apply(self, other: Import, *, dry_run: bool) -> None:
        """Give the affected documents the content of another export."""
        try:
            export = self.reader.read(other, self.affected)
        except FileRejected:
            self.gone.append(other)
            return
        if export is None:
            return
        self.exports.append(other.import_id)
        self.affected.note_found(export.places[export.places >= 0])
        if not dry_run:
            ended, begun = other.finished_at, self._first_attempt()
            late = begun is not None and ended is not None and ended >= begun
            self._write(export, create_only=other.mode == "bulk", late=late)

    def _first_attempt(self) -> datetime | None:
        """Return when this undoing was first attempted; None if this is the first attempt."""
        begun = sentences.BEING_UNDONE
        if begun not in self.import_.status_text:
            return None
        history = self.import_.history
        return max((entry.at for entry in history if begun in entry.text), default=None)

    def result(self) -> Undone:
        """Return the result."""
        affected = self.affected
        rest = affected.mine & ~affected.found
        by_created = [
            is_only_creator(self.import_, self.gone, created=created) for created in (False, True)
        ]
        removed = rest & np.array(by_created)[affected.created.astype(np.int64)]
        return Undone(
            connection=self.import_.connection,
            import_id=self.import_.import_id,
            documents=int((affected.mine | affected.partly).sum()),
            restored=int(((affected.mine & affected.found) | affected.partly).sum()),
            removed=int(removed.sum()),
            left=int(rest.sum()) - int(removed.sum()),
            exports=tuple(self.exports),
            gone=tuple(one.import_id for one in self.gone),
        )

    def end(self, undone: Undone) -> None:
        """Decide on documents that no other export holds, and remove the import from the feed."""
        with self._writer(self.decisions.without_export) as writer:
            for document in self._documents():
                removable = is_only_creator(self.import_, self.gone, created=document.created)
                withdrawn = self.affected.withdrawn_of(document.id)
                writer.add(document.id, Unsaid(removable, withdrawn))
        text = sentences.undone(undone.restored, undone.removed, undone.left)
        end(self.import_, self.services, self.hold, self.affected, gone=self.gone, text=text)

    def _documents(self) -> Iterator[AffectedDocument]:
        """Yield the documents whose content comes from the import, whole or in part."""
        database = self.services.ledger.database
        path = import_path(self.import_.connection, self.import_.import_id)
        arrived = database.created_at(path)  # by the same clock
        for id, data, created in database.scan(self.collection, ("source", INCOMPLETE)):
            self.hold.check()
            whole = self.author.wrote(data)
            if whole or holds_word(data, self.author.said):
                new = arrived is not None and created >= arrived
                complete = data.get(INCOMPLETE) is not True
                age = source_age(Stored(data, None)) if complete and not whole else None
                yield AffectedDocument(id, whole, new, (0, 0) if age is None else stamp_of(age))

    def _write(self, export: OtherExport, *, create_only: bool, late: bool) -> None:
        for layer in export.layers():
            decide_ = partial(self.decisions.by_export, create_only=create_only, late=late)
            with self._writer(decide_) as writer:
                for incoming, place, origin in layer:
                    incomplete = incoming.incomplete
                    self.affected.note_age(place, stamp_of(origin.age), incomplete=incomplete)
                    if create_only:  # a first load says nothing about consent
                        incoming = replace(incoming, keep=incoming.keep | self.type.consent)
                    withdrawn = self.affected.withdrawn_at(place)
                    writer.add(incoming.key, Said(incoming, origin, withdrawn))

    def _writer(self, decide_: Callable[[T, Stored | None], Any]) -> Writer[T]:
        def ignore(said: T, outcome: Outcome) -> None:
            """Ignore the result: the documents are read again at the end."""

        return Writer(
            self.services.documents,
            self.collection,
            decide=decide_,
            mask=None,
            on_result=ignore,
            guard=self.hold.check,
        )
