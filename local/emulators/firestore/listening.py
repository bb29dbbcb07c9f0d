"""Tells `Listen` streams when documents change."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.cloud.firestore_v1.types import firestore as firestore_types

from local.emulators.firestore import names, queries, wire, writes
from local.emulators.firestore.names import Document
from local.emulators.firestore.queries import Query
from local.emulators.firestore.refusals import Refused, invalid
from local.emulators.firestore.store import Change, Commit, Store
from local.emulators.firestore.writes import Content

log = logging.getLogger(__name__)

_Response = firestore_types.ListenResponse.pb()
_Kind = firestore_types.TargetChange.pb().TargetChangeType
_ADD = _Kind.Value("ADD")
_REMOVE = _Kind.Value("REMOVE")
_CURRENT = _Kind.Value("CURRENT")
_RESET = _Kind.Value("RESET")
_NO_CHANGE = _Kind.Value("NO_CHANGE")

_TOKEN = b"version:"


@dataclass(slots=True)
class _Target:
    """A query, or documents, that a stream listens to."""

    id: int
    query: Query | None
    """Query that is listened to; None for single documents."""
    documents: tuple[Document, ...]
    version: int
    """State that the client knows."""
    known: dict[Document, int] = field(default_factory=dict)
    """Results that the client knows, with their update times."""

    def concerns(self, change: Change) -> bool:
        if self.query is None:
            return change.document in self.documents
        return self.query.scope.covers(change.document.collection)


class Stream:
    """One `Listen` call: the targets of one client."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._targets: dict[int, _Target] = {}
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, requests: Iterable[bytes], parse: Callable[[bytes], Any]) -> Iterator[bytes]:
        """Yield the responses until the client ends the call."""
        end = self._store.subscribe(self._inbox.put)
        threading.Thread(target=self._read, args=(requests, parse), daemon=True).start()
        try:
            while True:
                item = self._inbox.get()
                if item is None:
                    return
                if isinstance(item, Refused):
                    raise item
                answers = self._on_commit(item) if isinstance(item, Commit) else self._on(item)
                for answer in answers:
                    yield answer.SerializeToString()
        finally:
            end()

    def close(self) -> None:
        """End `run`, from any thread."""
        self._inbox.put(None)

    def _read(self, requests: Iterable[bytes], parse: Callable[[bytes], Any]) -> None:
        try:
            for request in requests:
                self._inbox.put(parse(request))
        except Refused as refusal:
            self._inbox.put(refusal)
        except Exception:
            # The call ended in a way that grpc reports as an error. No client is left to tell.
            log.debug("A Listen call has ended.", exc_info=True)
        finally:
            self.close()

    def _on(self, request: Any) -> Iterator[Any]:
        database = names.parse_database(request.database)
        match request.WhichOneof("target_change"):
            case "add_target":
                yield from self._add(database, request.add_target)
            case "remove_target":
                if self._targets.pop(request.remove_target, None) is not None:
                    yield _target_change(_REMOVE, [request.remove_target])
            case _:
                raise invalid("A ListenRequest must add or remove a target.")

    def _add(self, database: str, message: Any) -> Iterator[Any]:
        target_id = message.target_id or max(self._targets, default=0) + 1
        if target_id in self._targets:
            raise invalid(f"Target ID {target_id} is already in use on this stream.")
        yield _target_change(_ADD, [target_id])
        try:
            target = self._parse(database, target_id, message)
            since = self._since(message)
        except Refused as refusal:
            removal = _target_change(_REMOVE, [target_id])
            removal.target_change.cause.code = refusal.number
            removal.target_change.cause.message = refusal.message
            yield removal
            return
        self._targets[target_id] = target
        if since is not None:
            target.known = {
                document: content.updated for document, content in self._results(target, since)
            }
        elif message.WhichOneof("resume_type") is not None:
            yield _target_change(_RESET, [target_id], target.version)
        fresh = since is None
        yield from self._catch_up(target, target.version, fresh=fresh)
        yield _target_change(_CURRENT, [target_id], target.version)
        yield _target_change(_NO_CHANGE, [], target.version)
        if message.once:
            del self._targets[target_id]
            yield _target_change(_REMOVE, [target_id])

    def _parse(self, database: str, target_id: int, message: Any) -> _Target:
        query: Query | None = None
        documents: tuple[Document, ...] = ()
        match message.WhichOneof("target_type"):
            case "query":
                query = queries.parse(message.query.parent, message.query.structured_query)
                found = query.scope.parent.database
            case "documents":
                parsed = [names.parse_document(name) for name in message.documents.documents]
                documents = tuple(dict.fromkeys(parsed))
                found = documents[0].collection.database if documents else database
            case _:
                raise invalid("A target must be a query or a set of documents.")
        if found != database:
            raise invalid(f'The target is not in the database "{database}".')
        return _Target(target_id, query, documents, self._store.now())

    def _since(self, message: Any) -> int | None:
        """Return the version at which the client last listened, if it can still be read."""
        match message.WhichOneof("resume_type"):
            case "resume_token":
                token = message.resume_token
                digits = token.removeprefix(_TOKEN)
                if not token.startswith(_TOKEN) or not digits.isdigit():
                    return None
                version = int(digits)
            case "read_time":
                version = writes.micros(message.read_time)
            case _:
                return None
        return version if self._store.oldest() <= version <= self._store.now() else None

    def _results(self, target: _Target, version: int) -> Iterator[tuple[Document, Content]]:
        reader = self._store.reader(version)
        if target.query is not None:
            yield from target.query.results(reader)
        else:
            yield from reader.get_all(target.documents).items()

    def _catch_up(self, target: _Target, version: int, *, fresh: bool = False) -> Iterator[Any]:
        """Yield every difference between what the client knows and a version."""
        known = target.known
        target.known = {}
        for document, content in self._results(target, version):
            target.known[document] = content.updated
            if known.pop(document, None) != content.updated:
                yield self._changed(target, document, content)
        gone = list(known)
        if fresh and target.query is None:
            gone = [document for document in target.documents if document not in target.known]
        existing = self._store.reader(version).get_all(gone) if gone else {}
        for document in gone:
            yield self._gone(target, document, document in existing, version)

    def _on_commit(self, commit: Commit) -> Iterator[Any]:
        said = False
        for target in self._targets.values():
            if commit.version <= target.version:
                continue
            changes = [change for change in commit.changes if target.concerns(change)]
            target.version = commit.version
            if not changes:
                continue
            if target.query is not None and target.query.bounded:
                answers = self._catch_up(target, commit.version)
            else:
                answers = self._follow(target, changes, commit.version)
            for answer in answers:
                said = True
                yield answer
        if said:
            yield _target_change(_NO_CHANGE, [], commit.version)

    def _follow(self, target: _Target, changes: Iterable[Change], version: int) -> Iterator[Any]:
        for change in changes:
            document, content = change.document, change.after
            query = target.query
            if content is not None and (query is None or query.keys(document, content) is not None):
                target.known[document] = content.updated
                yield self._changed(target, document, content)
            elif target.known.pop(document, None) is not None:
                yield self._gone(target, document, content is not None, version)

    def _changed(self, target: _Target, document: Document, content: Content) -> Any:
        response = _Response()
        change = response.document_change
        shown = content.fields
        if target.query is not None and target.query.mask is not None:
            shown = target.query.mask.apply(shown)
        change.document.ParseFromString(wire.document(document.name, content, shown))
        change.target_ids.append(target.id)
        return response

    def _gone(self, target: _Target, document: Document, exists: bool, version: int) -> Any:
        response = _Response()
        change = response.document_remove if exists else response.document_delete
        change.document = document.name
        change.removed_target_ids.append(target.id)
        change.read_time.CopyFrom(wire.stamp(version))
        return response


def _target_change(kind: int, target_ids: Iterable[int], version: int | None = None) -> Any:
    response = _Response()
    change = response.target_change
    change.target_change_type = kind
    change.target_ids.extend(target_ids)
    if version is not None:
        change.read_time.CopyFrom(wire.stamp(version))
        change.resume_token = _TOKEN + str(version).encode()
    return response
