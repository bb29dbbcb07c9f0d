"""A Firestore in memory with faults to order, and a writer's surroundings."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from google.cloud.firestore_v1 import types
from grpc import StatusCode

from shared.firestore.bulk.operations import Leave, Outcome, Put
from shared.firestore.bulk.transport import CallFailed, Stored
from shared.firestore.bulk.writer import Limits, Writer
from shared.firestore.encoding import decode_fields

RawRequest: Any = types.BatchWriteRequest.pb()
RawResponse: Any = types.BatchWriteResponse.pb()
RawTimestamp: Any = type(types.Document.pb()().update_time)

ROOT = "projects/p/databases/(default)/documents/connections/au/customers/"

PASSING = [
    StatusCode.UNAVAILABLE,
    StatusCode.ABORTED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.INTERNAL,
    StatusCode.UNKNOWN,
    StatusCode.CANCELLED,
]
GIVES_UP = [
    StatusCode.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED,
    StatusCode.NOT_FOUND,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.UNIMPLEMENTED,
]


@dataclass(frozen=True)
class Row:
    """What the tests write: the source says which import of which age a document is from."""

    key: str
    age: int
    text: str = "new"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        return {"text": self.text, **self.extra, "source": {"age": self.age}}


def newest_wins(row: Row, stored: Stored | None) -> Put | Leave:
    if stored is None or stored.data["source"]["age"] < row.age:
        return Put(row.data)
    return Leave("own" if stored.data["source"]["age"] == row.age else "newer")


@dataclass
class Fault:
    """What a call does instead of its work, or after it."""

    code: StatusCode
    details: str = ""
    after: bool = False
    """Whether the work is done all the same and only the answer is lost."""


@dataclass
class OneWrite:
    """What becomes of the write of one key in a call that is otherwise carried out."""

    key: str
    code: StatusCode
    after: bool = False
    message: str = ""


class FakeFirestore:
    """The two calls over a dict, with Firestore's conditions, and a script of faults for each."""

    database = "projects/p/databases/(default)"

    def __init__(self) -> None:
        self.documents: dict[str, tuple[dict[str, Any], int]] = {}
        self.reads: list[list[str]] = []
        self.masks: list[Sequence[str] | None] = []
        self.writes: list[list[str]] = []
        self.sizes: list[int] = []
        self.timeouts: list[float] = []
        self.applied: Counter[str] = Counter()
        self.read_script: deque[Fault | Callable[[], None] | None] = deque()
        self.write_script: deque[Fault | OneWrite | Callable[[], None] | None] = deque()
        self.invalid: dict[str, str] = {}
        """Keys of documents that make the server refuse the whole request, and its words."""
        self.write_limit = 500
        self.short_answers = 0
        self.silent_about: set[str] = set()
        self._ticks = 0
        self._lock = threading.RLock()

    def store(self, key: str, data: dict[str, Any]) -> None:
        """What somebody else writes."""
        with self._lock:
            self._ticks += 1
            self.documents[ROOT + key] = (data, self._ticks)

    def delete(self, key: str) -> None:
        with self._lock:
            del self.documents[ROOT + key]

    def text(self, key: str) -> str:
        text: str = self.documents[ROOT + key][0]["text"]
        return text

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        with self._lock:
            self.reads.append([key_of(name) for name in names])
            self.masks.append(mask)
            self.timeouts.append(timeout)
            step = self.read_script.popleft() if self.read_script else None
            if isinstance(step, Fault):
                raise CallFailed("BatchGetDocuments", step.code, step.details)
            self._refuse_invalid("BatchGetDocuments", [n for n in names if key_of(n) == "__id__"])
            found: dict[str, Stored | None] = {}
            for name in names:
                if key_of(name) in self.silent_about:
                    self.silent_about.discard(key_of(name))
                elif name in self.documents:
                    data, tick = self.documents[name]
                    seen = {f: v for f, v in data.items() if mask is None or f in mask}
                    found[name] = Stored(seen, time_of(tick))
                else:
                    found[name] = None
            if callable(step):
                step()
            return found

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        with self._lock:
            request = RawRequest.FromString(b"".join(writes))
            names = [write.update.name for write in request.writes]
            self.writes.append([key_of(name) for name in names])
            self.sizes.append(request.ByteSize())
            self.timeouts.append(timeout)
            step = self.write_script.popleft() if self.write_script else None
            if callable(step):
                step()
            if isinstance(step, Fault) and not step.after:
                raise CallFailed("BatchWrite", step.code, step.details)
            self._refuse_invalid("BatchWrite", names)
            if len(names) > self.write_limit:
                words = "gRPC message exceeds maximum size 4194304: 4194305"
                raise CallFailed("BatchWrite", StatusCode.RESOURCE_EXHAUSTED, words)
            answer = RawResponse()
            for write in request.writes:
                status, result = answer.status.add(), answer.write_results.add()
                one = step if isinstance(step, OneWrite) else None
                if one is None or one.key != key_of(write.update.name):
                    status.code = self._apply(write, result)
                else:
                    if one.after:
                        self._apply(write, result)
                    status.code, status.message = one.code.value[0], one.message
            if isinstance(step, Fault):
                raise CallFailed("BatchWrite", step.code, step.details)
            if self.short_answers:
                self.short_answers -= 1
                del answer.status[-1]
            return bytes(answer.SerializeToString())

    def _refuse_invalid(self, method: str, names: Sequence[str]) -> None:
        for name in names:
            if key_of(name) in self.invalid:
                words = self.invalid[key_of(name)]
                raise CallFailed(method, StatusCode.INVALID_ARGUMENT, words)

    def _apply(self, write: Any, result: Any) -> int:
        name = write.update.name
        condition = write.current_document
        existing = self.documents.get(name)
        if condition.HasField("exists"):
            assert not condition.exists
            if existing is not None:
                return int(StatusCode.ALREADY_EXISTS.value[0])
        elif existing is None or time_of(existing[1]) != condition.update_time:
            return int(StatusCode.FAILED_PRECONDITION.value[0])
        data = decode_fields(write.update.fields)
        if write.HasField("update_mask") and existing is not None:
            kept = {k: v for k, v in existing[0].items() if k not in write.update_mask.field_paths}
            data = {**kept, **data}
        self.applied[key_of(name)] += 1
        self._ticks += 1
        self.documents[name] = (data, self._ticks)
        result.update_time.CopyFrom(time_of(self._ticks))
        return 0


def key_of(name: str) -> str:
    assert name.startswith(ROOT)
    return name.removeprefix(ROOT)


def time_of(tick: int) -> Any:
    # Nanoseconds that no datetime can hold: a condition made from one would never be met.
    return RawTimestamp(seconds=1_700_000_000, nanos=tick * 1_000 + 7)


class Clock:
    """Time that only passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@dataclass
class Bench:
    """A writer's surroundings: the database, the clock, and every outcome there was."""

    fake: FakeFirestore = field(default_factory=FakeFirestore)
    clock: Clock = field(default_factory=Clock)
    results: list[tuple[Row, Outcome]] = field(default_factory=list)
    guarded: int = 0

    def writer(self, **options: Any) -> Writer[Row]:
        """Return a writer with these options, limits among them."""
        limits = {spec.name for spec in fields(Limits)} & options.keys()
        return Writer(
            self.fake,
            "connections/au/customers",
            **{
                "decide": newest_wins,
                "mask": ("source",),
                "on_result": lambda row, outcome: self.results.append((row, outcome)),
                "guard": self.guard,
                "limits": Limits(
                    **{"in_flight": 1, **{name: options.pop(name) for name in limits}}
                ),
                "sleep": self.clock.sleep,
                "clock": self.clock,
                "rng": random.Random(7),
                **options,
            },
        )

    def guard(self) -> None:
        self.guarded += 1

    def write(self, *rows: Row, **options: Any) -> dict[str, Outcome]:
        """Write rows of different keys; return each one's only outcome."""
        with self.writer(**options) as writer:
            for row in rows:
                writer.add(row.key, row)
        assert sorted(row.key for row in rows) == sorted(row.key for row, _ in self.results)
        return self.outcomes

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {row.key: outcome for row, outcome in self.results}


def rows(count: int, **values: Any) -> list[Row]:
    return [Row(f"{100 + number}", age=5, **values) for number in range(count)]
