"""Firestore as the pipeline uses it: transactions that conflict, and batches of single writes.

Weaker than the real one where that asks more of the pipeline: of a query in a transaction only the
documents that it found are held to be unchanged, not those that it would find now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Self, TypeVar

from google.cloud.firestore_v1 import types
from google.protobuf import timestamp_pb2
from grpc import StatusCode

from shared.core.errors import TryAgain
from shared.firestore.bulk.transport import CallFailed, Stored
from shared.firestore.database import TRANSACTION_TRIES, Reads
from shared.firestore.encoding import decode_fields
from shared.firestore.query import Fields, Slice
from tests.simulation.world import World

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROOT = "projects/simulated/databases/(default)"

_REQUEST: Any = types.BatchWriteRequest.pb()
_RESPONSE: Any = types.BatchWriteResponse.pb()
_PASSING = (
    StatusCode.UNAVAILABLE,
    StatusCode.ABORTED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.INTERNAL,
)


class Conflict(Exception):
    """What a transaction has read is no longer so."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One state of a document. Every change makes a new one."""

    fields: Fields
    updated: int
    created: datetime


Watch = Callable[[str, Fields | None, Fields | None], None]
"""Told of every change: path, fields before and after."""


class Store:
    """The documents by their paths."""

    def __init__(self, watch: Watch, now: Callable[[], datetime]) -> None:
        self._now = now
        self._collections: dict[str, dict[str, Document]] = {}
        self._watch = watch
        self._ticks = 0
        """Update time of the last change, in microseconds since 1970."""

    def get(self, path: str) -> Document | None:
        """Return a document's present state."""
        collection, _, id = path.rpartition("/")
        return self._collections.get(collection, {}).get(id)

    def put(self, path: str, fields: Fields | None) -> int:
        """Change a document, or delete it; returns its update time.

        A write that changes nothing leaves the update time as it was.
        """
        collection, _, id = path.rpartition("/")
        documents = self._collections.setdefault(collection, {})
        before = documents.get(id)
        if before is not None and fields is not None and before.fields == fields:
            return before.updated
        self._ticks = max(self._ticks + 1, (self._now() - EPOCH) // timedelta(microseconds=1))
        if fields is None:
            documents.pop(id, None)
        else:
            created = self._now() if before is None else before.created
            documents[id] = Document(fields, self._ticks, created)
        self._watch(path, before.fields if before else None, fields)
        return self._ticks

    def collection(self, path: str) -> dict[str, Document]:
        """Return the documents of a collection by id."""
        return dict(sorted(self._collections.get(path, {}).items()))

    def group(self, name: str) -> Iterator[tuple[str, Document]]:
        """Give every document of the collections of that name, with its path."""
        for collection in sorted(self._collections):
            if collection.rpartition("/")[2] == name:
                for id, document in self.collection(collection).items():
                    yield f"{collection}/{id}", document

    def ids_below(self, collection: str) -> list[str]:
        """Return the ids of a collection, also of documents that exist only in others' paths."""
        inside = f"{collection}/"
        ids = set(self._collections.get(collection, {}))
        for other, documents in self._collections.items():
            if documents and other.startswith(inside):
                ids.add(other[len(inside) :].partition("/")[0])
        return sorted(ids)


class SimulatedReads:
    """What one try of a transaction has read."""

    def __init__(self, database: SimulatedDatabase) -> None:
        self._database = database
        self.seen: dict[str, Document | None] = {}
        self._fetched: dict[str, Document | None] = {}

    def fetch(self, paths: Iterable[str]) -> None:
        """Read documents in one call."""
        wanted = [path for path in paths if path not in self._fetched]
        if wanted:
            self._fetched |= self._database.call(
                lambda: f"reads {', '.join(wanted)}",
                lambda: {path: self._read(path) for path in wanted},
            )

    def document(self, path: str) -> Fields | None:
        self.fetch([path])
        found = self._fetched[path]
        return None if found is None else found.fields

    def documents_between(self, collection: str, first: str, last: str) -> dict[str, Fields]:
        def read() -> dict[str, Fields]:
            found = {
                id: document
                for id, document in self._database.store.collection(collection).items()
                if first <= id <= last
            }
            for id, document in found.items():
                self._see(f"{collection}/{id}", document)
                self._fetched[f"{collection}/{id}"] = document
            return {id: document.fields for id, document in found.items()}

        return self._database.call(lambda: f"reads {collection} {first} to {last}", read)

    def still_so(self) -> bool:
        """Whether everything that was read is as it was."""
        get = self._database.store.get
        return all(get(path) is document for path, document in self.seen.items())

    def _read(self, path: str) -> Document | None:
        found = self._database.store.get(path)
        self._see(path, found)
        return found

    def _see(self, path: str, document: Document | None) -> None:
        # All reads of a transaction are of one moment: one that would not be begins it again.
        if not self.still_so():
            raise Conflict
        if self._database.tracked(path):
            self.seen[path] = document


class SimulatedDatabase:
    """`shared.firestore.database.Database` over a store."""

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self.store = store
        self.tracked: Callable[[str], bool] = lambda path: True
        """Whether a transaction is held to what it has read of a document: always, of course."""
        self.committed: Callable[[], None] = lambda: None
        """Told when a transaction has been committed."""

    def call(
        self,
        what: Callable[[], str],
        do: Callable[[], T],
        *,
        writes: bool = False,
        error: Callable[[], Exception] | None = None,
    ) -> T:
        """Make one call."""
        return self.world.call(what, do, error=error or _out_of_reach, writes=writes)

    def transact(self, change: Callable[[Reads], tuple[T, Mapping[str, Fields]]]) -> T:
        for number in range(TRANSACTION_TRIES):
            if number:
                self.world.sleep()
            reads = SimulatedReads(self)
            try:
                result, writes = change(reads)
                self.call(
                    lambda writes=writes: f"commits {_changes(self.store, writes)}",  # type: ignore[misc]
                    lambda reads=reads, writes=writes: self._commit(reads, writes),  # type: ignore[misc]
                    writes=bool(writes),
                    error=self._aborted_or_out_of_reach,
                )
            except Conflict:
                self.world.say(lambda: "its transaction begins again")
                continue
            return result
        raise TryAgain("The ledger is too busy.")

    def documents(self, paths: Iterable[str]) -> dict[str, Fields]:
        wanted = sorted(paths)
        return self.call(
            lambda: f"reads {', '.join(wanted)}",
            lambda: {
                path: found.fields for path in wanted if (found := self.store.get(path)) is not None
            },
        )

    def within(self, seconds: float) -> Self:
        return self

    def delete(self, path: str) -> None:
        self.call(lambda: f"deletes {path}", lambda: self.store.put(path, None), writes=True)

    def find(self, collection: str, equals: Mapping[str, Any]) -> dict[str, Fields]:
        return self.call(
            lambda: f"looks in {collection} for {dict(equals)}",
            lambda: {
                id: document.fields
                for id, document in self.store.collection(collection).items()
                if all(_field(document.fields, name) == value for name, value in equals.items())
            },
        )

    def find_any(
        self, collection: str, alternatives: Sequence[tuple[str, str]]
    ) -> dict[str, Fields]:
        return self.call(
            lambda: f"looks in {collection} for any of {alternatives}",
            lambda: {
                id: document.fields
                for id, document in self.store.collection(collection).items()
                if any(_field(document.fields, name) == value for name, value in alternatives)
            },
        )

    def find_in_group(
        self, group: str, name: str, values: Iterable[str]
    ) -> Iterator[tuple[str, Fields]]:
        wanted = set(values)
        found = self.call(
            lambda: f"looks for {group} by {name}",
            lambda: [
                (path, document.fields)
                for path, document in self.store.group(group)
                if document.fields.get(name) in wanted
            ],
        )
        yield from found

    def newest(self, which: Slice, *, limit: int) -> Iterator[tuple[str, Fields]]:
        def within(fields: Fields) -> bool:
            at = fields[which.by]
            return (which.since or at) <= at and (which.before is None or at < which.before)

        assert not which.equals, "only the digest asks, for what came since the one before"
        found = self.call(
            lambda: f"looks for the newest {which.group}",
            lambda: [
                (path, document.fields)
                for path, document in self.store.group(which.group)
                if within(document.fields)
            ],
        )
        found.sort(key=lambda each: each[1][which.by], reverse=True)
        yield from found[:limit]

    def totals(self, which: Slice, sums: Iterable[str]) -> dict[str, int]:
        raise NotImplementedError("only the page for people asks for these")

    def list(self, collection: str) -> Iterator[tuple[str, Fields | None, datetime | None]]:
        for id in self.call(
            lambda: f"lists {collection}", lambda: self.store.ids_below(collection)
        ):
            found = self.store.get(f"{collection}/{id}")
            if found is None:
                yield id, None, None
            else:
                yield id, found.fields, self.world.now()

    def created_at(self, path: str) -> datetime | None:
        found = self.call(lambda: f"reads {path}", lambda: self.store.get(path))
        return None if found is None else found.created

    def scan(
        self, collection: str, fields: Sequence[str]
    ) -> Iterator[tuple[str, Fields, datetime]]:
        found = self.call(lambda: f"reads all of {collection}", lambda: self._all(collection))
        for id, document in found.items():
            some = {name: document.fields[name] for name in fields if name in document.fields}
            yield id, some, document.created

    def _all(self, collection: str) -> dict[str, Document]:
        return self.store.collection(collection)

    def _commit(self, reads: SimulatedReads, writes: Mapping[str, Fields]) -> None:
        if not reads.still_so():
            raise Conflict
        for path, fields in writes.items():
            self.store.put(path, fields)
        self.committed()

    def _aborted_or_out_of_reach(self) -> Exception:
        # The client is told that a commit was aborted, too, when it was carried out.
        return Conflict() if self.world.rng.random() < 0.5 else _out_of_reach()


class SimulatedCalls:
    """`shared.firestore.bulk.existence.Lookups` over a store."""

    def __init__(self, world: World, store: Store, sent: Callable[[Sequence[str]], None]) -> None:
        self.database = ROOT
        self.world = world
        self.store = store
        self.conditional = True
        """Whether conditions of writes are held to: always, of course."""
        self._sent = sent

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        def do() -> dict[str, Stored | None]:
            return {name: self._stored(name, mask) for name in names}

        return self.world.call(
            lambda: f"reads {_short(names)}",
            do,
            error=lambda: self._error("BatchGetDocuments"),
        )

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        def do() -> list[int]:
            return [
                sum(self.store.get(_path(name)) is not None for name in group) for group in groups
            ]

        return self.world.call(
            lambda: f"counts {_short([*chain.from_iterable(groups)])}",
            do,
            error=lambda: self._error("RunAggregationQuery"),
        )

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        request = _REQUEST.FromString(b"".join(writes))
        names = [write.update.name or write.delete for write in request.writes]
        if len(set(names)) != len(names):
            raise CallFailed("BatchWrite", StatusCode.INVALID_ARGUMENT, "one document twice")
        self._sent([_path(name) for name in names])
        rng, chance = self.world.rng, self.world.chances.status
        told = {place: rng.choice(_PASSING) for place in range(len(names)) if rng.random() < chance}
        held = {place for place in told if rng.random() < 0.5}

        def do() -> bytes:
            response = _RESPONSE()
            for place, write in enumerate(request.writes):
                status, result = response.status.add(), response.write_results.add()
                code = StatusCode.OK if place in held else self._write(write, result)
                code = told.get(place, code)
                status.code = code.value[0]
                if code is not StatusCode.OK:
                    result.Clear()
            return bytes(response.SerializeToString())

        return self.world.call(
            lambda: (
                f"writes {_short(names)}"
                + "".join(
                    f" [{names[place].rpartition('/')[2]}: {told[place].name}]" for place in told
                )
            ),
            do,
            error=lambda: self._error("BatchWrite"),
            writes=True,
        )

    def _write(self, write: Any, result: Any) -> StatusCode:
        name = write.update.name or write.delete
        path = _path(name)
        present = self.store.get(path)
        if self.conditional and write.HasField("current_document"):
            condition = write.current_document
            if condition.WhichOneof("condition_type") == "exists":
                if condition.exists and present is None:
                    return StatusCode.NOT_FOUND
                if not condition.exists and present is not None:
                    return StatusCode.ALREADY_EXISTS
            elif present is None:
                return StatusCode.NOT_FOUND
            elif _stamp(present.updated) != condition.update_time:
                return StatusCode.FAILED_PRECONDITION
        if write.delete:
            fields = None
        else:
            fields = decode_fields(write.update.fields)
            if write.HasField("update_mask"):
                fields = _merged(present.fields if present else {}, fields, write.update_mask)
        result.update_time.CopyFrom(_stamp(self.store.put(path, fields)))
        return StatusCode.OK

    def _stored(self, name: str, mask: Sequence[str] | None) -> Stored | None:
        found = self.store.get(_path(name))
        if found is None:
            return None
        data = found.fields
        if mask is not None:
            data = _merged({}, data, types.DocumentMask(field_paths=mask))
        return Stored(data, _stamp(found.updated))

    def _error(self, method: str) -> CallFailed:
        code = self.world.rng.choice(_PASSING)
        return CallFailed(method, code, "simulated")


def _out_of_reach() -> Exception:
    return TryAgain("The ledger cannot be reached: DeadlineExceeded")


def _field(fields: Fields, name: str) -> Any:
    """Return the value of a field, e.g. `status` or `run.crc32c`; None if it is absent."""
    value: Any = fields
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _merged(into: Fields, new: Fields, mask: Any) -> Fields:
    """Return `into` with the fields of `new` that the mask names; those that `new` lacks go."""
    merged = _copy(into)
    for path in mask.field_paths:
        names = [name.strip("`") for name in path.split(".")]
        value: Any = new
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        level = merged
        if value is None:
            for name in names[:-1]:
                level = level.get(name, {})
            level.pop(names[-1], None)
            continue
        for name in names[:-1]:
            level = level.setdefault(name, {})
        level[names[-1]] = value
    return merged


def _copy(data: Fields) -> Fields:
    return {name: _copy(value) if type(value) is dict else value for name, value in data.items()}


def _stamp(micros: int) -> Any:
    return timestamp_pb2.Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1_000)


def _path(name: str) -> str:
    return name.removeprefix(f"{ROOT}/documents/")


def _short(names: Sequence[str]) -> str:
    return ", ".join("/".join(name.rsplit("/", 2)[1:]) for name in names)


def _changes(store: Store, writes: Mapping[str, Fields]) -> str:
    parts = []
    for path, fields in writes.items():
        short = "/".join(path.rsplit("/", 2)[1:])
        if path.rpartition("/")[0].endswith("/imports"):
            present = store.get(path)
            was = present.fields["status"] if present else "nothing"
            parts.append(f"{short}#{fields['run']['generation']} {was} -> {fields['status']}")
        else:
            parts.append(short)
    return ", ".join(parts) or "nothing"
