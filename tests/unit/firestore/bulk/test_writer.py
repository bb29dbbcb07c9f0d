"""Writing documents, against a small Firestore in memory that fails as it is told to."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from google.cloud.firestore_v1 import types
from grpc import StatusCode

from shared.core.codes import CODES
from shared.core.errors import LeaseLost, TryAgain
from shared.firestore.bulk.decisions import Expected, Leave, Left, Outcome, Put, Refused, Written
from shared.firestore.bulk.encoding import decode_fields, encode_content
from shared.firestore.bulk.pacing import FIRST_WAIT, LONGEST_WAIT, Gate, Pace, Ramp, backoff
from shared.firestore.bulk.transport import CallFailed, Stored, encode_write
from shared.firestore.bulk.writer import Writer
from tests.support.waiting import PATIENCE

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
            self.reads.append([_key(name) for name in names])
            self.masks.append(mask)
            self.timeouts.append(timeout)
            step = self.read_script.popleft() if self.read_script else None
            if isinstance(step, Fault):
                raise CallFailed("BatchGetDocuments", step.code, step.details)
            self._refuse_invalid("BatchGetDocuments", [n for n in names if _key(n) == "__id__"])
            found: dict[str, Stored | None] = {}
            for name in names:
                if _key(name) in self.silent_about:
                    self.silent_about.discard(_key(name))
                elif name in self.documents:
                    data, tick = self.documents[name]
                    seen = {f: v for f, v in data.items() if mask is None or f in mask}
                    found[name] = Stored(seen, _time(tick))
                else:
                    found[name] = None
            if callable(step):
                step()
            return found

    def write(self, writes: Iterable[bytes], *, timeout: float) -> Any:
        with self._lock:
            request = RawRequest.FromString(b"".join(writes))
            names = [write.update.name for write in request.writes]
            self.writes.append([_key(name) for name in names])
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
                if one is None or one.key != _key(write.update.name):
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
            return answer

    def _refuse_invalid(self, method: str, names: Sequence[str]) -> None:
        for name in names:
            if _key(name) in self.invalid:
                words = self.invalid[_key(name)]
                raise CallFailed(method, StatusCode.INVALID_ARGUMENT, words)

    def _apply(self, write: Any, result: Any) -> int:
        name = write.update.name
        condition = write.current_document
        existing = self.documents.get(name)
        if condition.HasField("exists"):
            assert not condition.exists
            if existing is not None:
                return int(StatusCode.ALREADY_EXISTS.value[0])
        elif existing is None or _time(existing[1]) != condition.update_time:
            return int(StatusCode.FAILED_PRECONDITION.value[0])
        data = decode_fields(write.update.fields)
        if write.HasField("update_mask") and existing is not None:
            kept = {k: v for k, v in existing[0].items() if k not in write.update_mask.field_paths}
            data = {**kept, **data}
        self.applied[_key(name)] += 1
        self._ticks += 1
        self.documents[name] = (data, self._ticks)
        result.update_time.CopyFrom(_time(self._ticks))
        return 0


def _key(name: str) -> str:
    assert name.startswith(ROOT)
    return name.removeprefix(ROOT)


def _time(tick: int) -> Any:
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
        return Writer(
            self.fake,
            "connections/au/customers",
            **{
                "decide": newest_wins,
                "mask": ("source",),
                "on_result": lambda row, outcome: self.results.append((row, outcome)),
                "guard": self.guard,
                "in_flight": 1,
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


@pytest.fixture
def bench() -> Bench:
    return Bench()


def rows(count: int, **values: Any) -> list[Row]:
    return [Row(f"{100 + number}", age=5, **values) for number in range(count)]


# -- without faults -----------------------------------------------------------------------------


def test_new_document(bench: Bench) -> None:
    """A document that is not there yet is created, and the outcome has its update time."""
    outcomes = bench.write(Row("1", age=5))

    data, tick = bench.fake.documents[ROOT + "1"]
    assert data == {"text": "new", "source": {"age": 5}}
    assert outcomes == {"1": Written(_time(tick))}


def test_older_document_is_replaced_whole(bench: Bench) -> None:
    """Of an older document nothing stays."""
    bench.fake.store("1", {"text": "old", "gone": True, "source": {"age": 4}})

    bench.write(Row("1", age=5))

    assert bench.fake.documents[ROOT + "1"][0] == {"text": "new", "source": {"age": 5}}


def test_only_some_fields(bench: Bench) -> None:
    """With `only`, the other fields stay, and a field that is named but not given goes."""
    bench.fake.store("1", {"text": "old", "stays": True, "goes": 1, "source": {"age": 4}})

    bench.write(
        Row("1", age=5), decide=lambda row, _: Put({"text": row.text}, only=("text", "goes"))
    )

    expected = {"text": "new", "stays": True, "source": {"age": 4}}
    assert bench.fake.documents[ROOT + "1"][0] == expected


def test_newer_document_is_left(bench: Bench) -> None:
    """What `decide` leaves is not written, and the outcome says why."""
    bench.fake.store("1", {"text": "newer", "source": {"age": 6}})

    outcomes = bench.write(Row("1", age=5))

    assert outcomes == {"1": Left("newer")}
    assert bench.fake.writes == []


@pytest.mark.parametrize(
    ("mask", "seen"),
    [
        (("source",), {"source": {"age": 4}}),
        ((), {}),
        (None, {"text": "old", "source": {"age": 4}}),
    ],
)
def test_mask(bench: Bench, mask: Sequence[str] | None, seen: dict[str, Any]) -> None:
    """`decide` sees of a stored document just the fields of the mask, with None all of it."""
    bench.fake.store("1", {"text": "old", "source": {"age": 4}})
    shown = []

    def decide(row: Row, stored: Stored | None) -> Put:
        assert stored is not None
        shown.append(stored.data)
        return Put(row.data)

    bench.write(Row("1", age=5), mask=mask, decide=decide)

    assert shown == [seen]
    assert bench.fake.text("1") == "new"


def test_batches(bench: Bench) -> None:
    """Documents go out in the order they came in, in batches of the size asked for."""
    bench.write(*rows(5), batch_size=2)

    assert bench.fake.writes == [["100", "101"], ["102", "103"], ["104"]]


def test_requests_stay_small(bench: Bench) -> None:
    """A batch too large for one request becomes several, each below the limit."""
    decided: list[tuple[str, int]] = []

    def decide(row: Row, stored: Stored | None) -> Put:
        decided.append((row.key, len(bench.fake.writes)))
        return Put(row.data)

    bench.write(*rows(6, text="x" * 1_000), request_bytes=2_500, decide=decide)

    assert [len(keys) for keys in bench.fake.writes] == [2, 2, 2]
    assert max(bench.fake.sizes) <= 2_500
    # Only what is sent is encoded, and the one document that shows that the request is full.
    assert [writes_before for _, writes_before in decided] == [0, 0, 0, 1, 1, 2]
    # The documents that had to wait for a later request are not read a second time.
    assert len(bench.fake.reads) == 1


def test_close_writes_the_rest_once(bench: Bench) -> None:
    """Closing twice writes once; a closed writer takes nothing more."""
    writer = bench.writer()
    writer.add("1", Row("1", age=5))
    writer.close()
    writer.close()

    assert bench.fake.writes == [["1"]]
    with pytest.raises(RuntimeError, match="closed"):
        writer.add("2", Row("2", age=5))


def test_nothing_to_write(bench: Bench) -> None:
    """A writer that got no document makes no call."""
    bench.write()

    assert (bench.fake.reads, bench.fake.writes) == ([], [])


@pytest.mark.parametrize("key", ["", "1/orders/2"])
def test_key_that_is_no_document_id(bench: Bench, key: str) -> None:
    """A key that would name a document somewhere else is refused before any call."""
    outcomes = bench.write(Row(key, age=5))

    assert isinstance(outcomes[key], Refused)
    assert bench.fake.reads == []


def test_same_key_twice(bench: Bench) -> None:
    """Two documents of one key never share a request, and the newer one stays."""
    with bench.writer(in_flight=4) as writer:
        writer.add("1", Row("1", age=7, text="newest"))
        writer.add("1", Row("1", age=6, text="older"))

    assert bench.fake.text("1") == "newest"
    assert len(bench.results) == 2


def test_results_on_the_adding_thread(bench: Bench) -> None:
    """Every outcome is told on the thread that adds and closes."""
    threads = []

    with bench.writer(
        in_flight=3,
        batch_size=1,
        on_result=lambda row, outcome: threads.append(threading.current_thread()),
    ) as writer:
        for row in rows(9):
            writer.add(row.key, row)

    assert threads == [threading.current_thread()] * 9


def test_bounded(bench: Bench) -> None:
    """Adding waits while as many batches are under way as are allowed, and goes on after that."""
    both_in, go_on, all_added = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    write = bench.fake.write

    def slow_write(writes: Iterable[bytes], *, timeout: float) -> Any:
        both_in.release()
        assert go_on.acquire(timeout=PATIENCE)
        return write(writes, timeout=timeout)

    bench.fake.write = slow_write  # type: ignore[method-assign]

    def add_all() -> None:
        with bench.writer(in_flight=2, batch_size=1) as writer:
            for row in rows(4):
                writer.add(row.key, row)
            all_added.set()

    adding = threading.Thread(target=add_all)
    adding.start()
    assert both_in.acquire(timeout=PATIENCE)
    assert both_in.acquire(timeout=PATIENCE)
    added_while_full = all_added.wait(0.1)
    for _ in range(4):
        go_on.release()
    adding.join(PATIENCE)

    assert not added_while_full
    assert all_added.is_set()
    assert len(bench.results) == 4


# -- somebody else writes too -------------------------------------------------------------------


@pytest.mark.parametrize("age", [4, 6], ids=["older", "newer"])
def test_changed_between_reading_and_writing(bench: Bench, age: int) -> None:
    """A document that changes after it was read is decided on again, by what it is then."""
    bench.fake.store("1", {"text": "old", "source": {"age": 3}})
    bench.fake.write_script.append(
        lambda: bench.fake.store("1", {"text": "theirs", "source": {"age": age}})
    )

    outcomes = bench.write(Row("1", age=5, text="ours"), Row("2", age=5))

    assert bench.fake.text("1") == ("ours" if age == 4 else "theirs")
    assert isinstance(outcomes["1"], Written if age == 4 else Left)
    assert bench.fake.reads == [["1", "2"], ["1"]]
    assert bench.clock.naps == []


@pytest.mark.parametrize("age", [4, 6], ids=["older", "newer"])
def test_appears_between_reading_and_writing(bench: Bench, age: int) -> None:
    """A document that somebody else creates first is not overwritten blindly."""
    bench.fake.write_script.append(
        lambda: bench.fake.store("1", {"text": "theirs", "source": {"age": age}})
    )

    bench.write(Row("1", age=5, text="ours"))

    assert bench.fake.text("1") == ("ours" if age == 4 else "theirs")


def test_deleted_between_reading_and_writing(bench: Bench) -> None:
    """A document that is deleted after it was read is created anew."""
    bench.fake.store("1", {"text": "old", "source": {"age": 3}})
    bench.fake.write_script.append(lambda: bench.fake.delete("1"))

    outcomes = bench.write(Row("1", age=5))

    assert isinstance(outcomes["1"], Written)
    assert bench.fake.text("1") == "new"


def test_document_that_keeps_changing(bench: Bench) -> None:
    """From the second conflict on, the writer pauses before it tries again."""
    for _ in range(3):
        bench.fake.write_script.append(
            lambda: bench.fake.store("1", {"text": "theirs", "source": {"age": 1}})
        )

    bench.write(Row("1", age=5))

    assert bench.fake.text("1") == "new"
    assert len(bench.clock.naps) == 2


# -- faults that pass ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
def test_call_without_an_answer(bench: Bench, code: StatusCode, after: bool) -> None:
    """Whether or not the writes of a failed call happened, each is carried out once."""
    bench.fake.store("1", {"text": "old", "source": {"age": 4}})
    bench.fake.write_script.append(Fault(code, after=after))

    outcomes = bench.write(Row("1", age=5), Row("2", age=5))

    assert bench.fake.applied == {"1": 1, "2": 1}
    if after:
        assert outcomes == {"1": Left("own"), "2": Left("own")}
    else:
        assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert len(bench.clock.naps) == 1


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
def test_single_write_that_fails(bench: Bench, code: StatusCode, after: bool) -> None:
    """Of a call that fails for one write only, just that write is tried again."""
    bench.fake.write_script.append(OneWrite("101", code, after=after))

    outcomes = bench.write(*rows(3))

    assert bench.fake.applied == {"100": 1, "101": 1, "102": 1}
    assert outcomes["101"] == Left("own") if after else isinstance(outcomes["101"], Written)
    assert bench.fake.writes[1] == ["101"]
    assert len(bench.clock.naps) == 1


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
def test_read_that_fails(bench: Bench, code: StatusCode) -> None:
    """A read without an answer is tried again before anything is written."""
    bench.fake.store("1", {"text": "newer", "source": {"age": 6}})
    bench.fake.read_script.append(Fault(code))

    outcomes = bench.write(Row("1", age=5))

    assert outcomes == {"1": Left("newer")}
    assert len(bench.clock.naps) == 1


def test_read_that_leaves_documents_out(bench: Bench) -> None:
    """A document that the server says nothing about is not taken for one that does not exist."""
    bench.fake.store("101", {"text": "newer", "source": {"age": 6}})
    bench.fake.silent_about.add("101")

    outcomes = bench.write(*rows(3))

    assert outcomes["101"] == Left("newer")
    assert bench.fake.reads == [["100", "101", "102"], ["101"]]
    assert bench.fake.writes == [["100", "102"]]


def test_answer_with_too_few_statuses(bench: Bench) -> None:
    """An answer that does not account for every write is believed for none."""
    bench.fake.short_answers = 1

    outcomes = bench.write(*rows(3))

    assert outcomes == {"100": Left("own"), "101": Left("own"), "102": Left("own")}
    assert set(bench.fake.applied.values()) == {1}


def test_pauses_grow_and_are_reset(bench: Bench) -> None:
    """Each failure in a row may double the pause; a document that gets done starts it afresh."""
    bench.fake.write_script.extend([Fault(StatusCode.UNAVAILABLE)] * 6)
    bench.fake.write_script.append(OneWrite("100", StatusCode.UNAVAILABLE))
    bounds: list[float] = []

    class Widest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            bounds.append(b)
            return b

    bench.write(*rows(2), rng=Widest())

    assert bounds == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 0.25]


# -- faults that do not pass --------------------------------------------------------------------


def test_single_write_is_refused(bench: Bench) -> None:
    """A write that the server will never take is refused alone."""
    bench.fake.write_script.append(OneWrite("101", StatusCode.INVALID_ARGUMENT))

    outcomes = bench.write(*rows(3))

    refused = outcomes.pop("101")
    assert isinstance(refused, Refused)
    assert refused.problem.code == "write.refused"
    assert refused.problem.code in CODES
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())


@pytest.mark.parametrize("guilty", [("100",), ("163",), ("131", "132"), ("100", "150", "163")])
def test_whole_request_is_refused(bench: Bench, guilty: Sequence[str]) -> None:
    """Of a request that is refused because of some documents, all others are written."""
    bench.fake.invalid = dict.fromkeys(guilty, "A document is wrong.")

    outcomes = bench.write(*rows(64))

    assert {k for k, outcome in outcomes.items() if isinstance(outcome, Refused)} == set(guilty)
    assert bench.fake.applied == {row.key: 1 for row in rows(64) if row.key not in guilty}
    # Halving: two calls a level for each guilty document, six levels for 64.
    assert len(bench.fake.writes) <= 1 + 12 * len(guilty)
    assert bench.clock.naps == []


def test_read_is_refused(bench: Bench) -> None:
    """A key that the server does not even read refuses its own document alone."""
    bench.fake.invalid = {"__id__": 'Resource id "__id__" is invalid because it is reserved.'}

    outcomes = bench.write(*rows(3), Row("__id__", age=5))

    assert isinstance(outcomes.pop("__id__"), Refused)
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())


def test_read_is_refused_beside_a_write_that_is_due(bench: Bench) -> None:
    """A document that only has to be written again is not lost when reading others is refused."""
    bench.fake.read_script.append(
        lambda: bench.fake.store("101", {"text": "theirs", "source": {"age": 1}})
    )
    bench.fake.write_script.append(OneWrite("100", StatusCode.UNAVAILABLE))
    bench.fake.read_script.append(Fault(StatusCode.INVALID_ARGUMENT))

    outcomes = bench.write(*rows(2))

    assert isinstance(outcomes["100"], Written)
    assert isinstance(outcomes["101"], Refused)


def test_request_is_too_large_for_the_server(bench: Bench) -> None:
    """A server with a smaller limit gets smaller requests, at once."""
    bench.fake.write_limit = 10

    outcomes = bench.write(*rows(64))

    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert bench.clock.naps == []


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"big": "x" * 5_000}, "it has 5"),
        ({"quantity": 2**63}, "quantity: an integer beyond 64 bits cannot be stored"),
    ],
    ids=["larger than a request", "not encodable"],
)
def test_refused_before_it_is_sent(bench: Bench, extra: dict[str, Any], why: str) -> None:
    """A document that cannot be sent is refused, and the others of its batch are written."""
    outcomes = bench.write(
        Row("1", age=5), Row("2", age=5, extra=extra), Row("3", age=5), request_bytes=4_000
    )

    refused = outcomes["2"]
    assert isinstance(refused, Refused)
    assert why in refused.problem.message
    assert bench.fake.applied == {"1": 1, "3": 1}


def test_refusal_says_why_but_quotes_nothing(bench: Bench) -> None:
    """The server's words reach the report without any word of the document's values."""
    bench.fake.write_script.append(
        OneWrite(
            "anna@example.com",
            StatusCode.INVALID_ARGUMENT,
            message='The value "12 High St, Manly" of property "address.line1" is longer than '
            "1048487 bytes in document customers/anna@example.com.",
        )
    )
    row = Row("anna@example.com", age=5, extra={"address": {"line1": "12 HIGH ST", "c": ["Manly"]}})

    refused = bench.write(row)["anna@example.com"]

    assert isinstance(refused, Refused)
    message = refused.problem.message
    assert 'property "address.line1" is longer than 1048487 bytes' in message
    assert not re.search("high|manly|anna|example", message, re.IGNORECASE)


def test_value_of_a_wrong_type(bench: Bench) -> None:
    """A value that no document may hold is a fault of the program: it is raised, with its path."""
    with pytest.raises(TypeError, match=r"address\.line1: a value of type set cannot be stored"):
        bench.write(Row("1", age=5, extra={"address": {"line1": {"x"}}}))


@pytest.mark.parametrize("code", GIVES_UP, ids=lambda code: code.name)
@pytest.mark.parametrize("script", ["read_script", "write_script"])
def test_call_that_fails_for_good(bench: Bench, code: StatusCode, script: str) -> None:
    """What no retry of a call can mend ends the attempt at once and is named."""
    getattr(bench.fake, script).append(Fault(code, "Missing or insufficient permissions."))

    with pytest.raises(TryAgain, match=rf"{code.name} .*Missing or insufficient") as caught:
        bench.write(Row("1", age=5), Row("2", age=5))

    assert bench.clock.naps == []
    assert caught.value.__notes__ == [
        "Documents of connections/au/customers left without an outcome: 2."
    ]


def test_single_write_is_forbidden(bench: Bench) -> None:
    """When one write of several is forbidden, the others' outcomes are told before TryAgain."""
    bench.fake.write_script.append(OneWrite("100", StatusCode.PERMISSION_DENIED))

    with pytest.raises(TryAgain, match=r"roles/datastore\.user"):
        bench.write(*rows(3))

    assert set(bench.outcomes) == {"101", "102"}


def test_patience(bench: Bench) -> None:
    """A server that never takes anything is given up, and the error tells the last answer."""
    bench.fake.write_script.extend([Fault(StatusCode.UNAVAILABLE, "connection refused")] * 10_000)

    with pytest.raises(TryAgain, match=r"for 60 seconds.* UNAVAILABLE, connection refused"):
        bench.write(Row("1", age=5), patience=60.0)

    assert 60.0 <= sum(bench.clock.naps) <= 60.0 + LONGEST_WAIT


def test_patience_starts_afresh(bench: Bench) -> None:
    """A batch of which some document gets done now and then is not given up."""
    write = bench.fake.write

    def only_the_first(writes: Iterable[bytes], *, timeout: float) -> Any:
        bench.clock.now += 20.0
        first, *rest = writes
        answer = write([first], timeout=timeout)
        for _ in rest:
            answer.status.add().code = StatusCode.ABORTED.value[0]
            answer.write_results.add()
        return answer

    bench.fake.write = only_the_first  # type: ignore[method-assign]

    bench.write(*rows(10), patience=30.0)

    assert bench.clock.now >= 1_000.0 + 10 * 20.0


def test_deadline(bench: Bench) -> None:
    """Writing ends by the deadline: no call may last longer, and none is begun after it."""
    bench.fake.write_script.extend([Fault(StatusCode.UNAVAILABLE)] * 10_000)

    with pytest.raises(TryAgain, match="time for writing connections/au/customers is used up"):
        bench.write(Row("1", age=5), deadline=bench.clock.now + 10.0)

    assert bench.clock.now == pytest.approx(1_010.0)
    assert all(0 < timeout <= 10.0 for timeout in bench.fake.timeouts)


def test_time_a_call_may_take(bench: Bench) -> None:
    """A call may take as long as said, however far off the deadline is."""
    bench.write(Row("1", age=5), deadline=bench.clock.now + 1_000.0, rpc_timeout=30.0)

    assert bench.fake.timeouts == [30.0, 30.0]


# -- the end of an attempt ----------------------------------------------------------------------


def test_guard_before_every_write(bench: Bench) -> None:
    """The guard is asked before each call that writes, retries too."""
    bench.fake.write_script.append(Fault(StatusCode.UNAVAILABLE))

    bench.write(*rows(4), batch_size=2)

    assert bench.guarded == len(bench.fake.writes) == 3


def test_lease_is_lost(bench: Bench) -> None:
    """From the moment the lease is lost nothing is written, and what was written is told."""
    turns = iter([None, None, LeaseLost("another worker")])

    def guard() -> None:
        error = next(turns)
        if error is not None:
            raise error

    with pytest.raises(LeaseLost, match="another worker"):
        bench.write(*rows(20), batch_size=2, guard=guard)

    assert bench.fake.writes == [["100", "101"], ["102", "103"]]
    assert set(bench.outcomes) == {"100", "101", "102", "103"}


def test_failure_is_raised_again_on_close(bench: Bench) -> None:
    """A writer that has failed says so each time, so that no `finally` can hide it."""
    bench.fake.read_script.append(Fault(StatusCode.PERMISSION_DENIED))
    writer = bench.writer(batch_size=1)

    def add_all() -> None:
        for row in rows(9):
            writer.add(row.key, row)

    errors = []
    for act in (add_all, writer.close, writer.close):
        with pytest.raises(TryAgain) as caught:
            act()
        errors.append(caught.value)

    assert errors == [errors[0]] * 3
    assert bench.results == []


def test_error_of_the_caller(bench: Bench) -> None:
    """When the caller's block raises, what is under way is told and the rest is not begun."""

    def add_some() -> None:
        with bench.writer(batch_size=2) as writer:
            for row in rows(3):
                writer.add(row.key, row)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        add_some()

    assert "102" not in bench.fake.applied
    assert set(bench.outcomes) == set(bench.fake.applied)


def test_error_in_on_result(bench: Bench) -> None:
    """An error in taking an outcome comes out, after the other outcomes of its batch were told."""
    told = []

    def on_result(row: Row, outcome: Outcome) -> None:
        told.append(row.key)
        if row.key == "100":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        bench.write(*rows(3), on_result=on_result)

    assert told == ["100", "101", "102"]


def test_error_in_decide(bench: Bench) -> None:
    """An error in deciding comes out as it is."""

    def decide(row: Row, stored: Stored | None) -> Put:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.write(*rows(3), decide=decide)


def test_one_failure_ends_all_waiting(bench: Bench) -> None:
    """A batch that waits for a better time does not keep the writer from ending."""
    bench.fake.write_script.extend([Fault(StatusCode.UNAVAILABLE)] * 10_000)
    failing, added = threading.Event(), threading.Event()

    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            failing.set()
            return 1_000.0  # real seconds: the test would time out

    def decide(row: Row, stored: Stored | None) -> Put:
        if row.key == "101":
            assert failing.wait(PATIENCE)
            assert added.wait(PATIENCE)
            raise ZeroDivisionError
        return Put(row.data)

    writer = bench.writer(batch_size=1, in_flight=2, decide=decide, sleep=None, rng=Longest())
    for row in rows(2):
        writer.add(row.key, row)
    added.set()
    with pytest.raises(ZeroDivisionError):
        writer.close()

    assert bench.fake.writes == [["100"]]


# -- only creating ------------------------------------------------------------------------------


def test_create_only_reads_nothing(bench: Bench) -> None:
    """When only creating, nothing is read first."""
    outcomes = bench.write(*rows(3), create_only=True)

    assert bench.fake.reads == []
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("age", "reason"), [(4, "exists"), (5, "own"), (6, "newer")], ids=["older", "own", "newer"]
)
def test_create_only_changes_nothing(bench: Bench, age: int, reason: str) -> None:
    """When only creating, a document that exists stays as it is, whatever its age."""
    bench.fake.store("101", {"text": "theirs", "source": {"age": age}})

    outcomes = bench.write(*rows(3), create_only=True, mask=None)

    assert outcomes["101"] == Left(reason)
    assert bench.fake.text("101") == "theirs"
    assert (bench.fake.reads, bench.fake.masks) == ([["101"]], [("source",)])


@pytest.mark.parametrize(
    "step", [Fault(StatusCode.DEADLINE_EXCEEDED, after=True), Fault(StatusCode.UNAVAILABLE)]
)
def test_create_only_with_a_lost_answer(bench: Bench, step: Fault) -> None:
    """When only creating, a document whose answer got lost is known as one's own."""
    bench.fake.write_script.append(step)

    outcomes = bench.write(*rows(2), create_only=True)

    assert set(bench.fake.applied.values()) == {1}
    if step.after:
        assert outcomes == {"100": Left("own"), "101": Left("own")}
    else:
        assert all(isinstance(outcome, Written) for outcome in outcomes.values())


# -- what is expected to be stored --------------------------------------------------------------


def expect(bench: Bench, row: Row, tick: int | None, **options: Any) -> Outcome:
    """Write a row on the expectation that its document is of a tick; None: that there is none."""
    time = None if tick is None else _time(tick)
    with bench.writer(**options) as writer:
        writer.add(row.key, row, Expected(Put(row.data), time))
    return bench.outcomes[row.key]


def test_what_is_expected_is_not_read(bench: Bench) -> None:
    """Where the stored document is the one expected, it is written without being read."""
    bench.fake.store("1", {"text": "old", "source": {"age": 4}})

    assert expect(bench, Row("1", age=5), 1) == Written(_time(2))
    assert expect(bench, Row("2", age=5), None) == Written(_time(3))
    assert (bench.fake.text("1"), bench.fake.text("2"), bench.fake.reads) == ("new", "new", [])


@pytest.mark.parametrize("tick", [None, 7])
@pytest.mark.parametrize(("age", "text"), [(4, "new"), (6, "theirs")])
def test_what_is_stored_is_another(bench: Bench, tick: int | None, age: int, text: str) -> None:
    """Where another document is stored than expected, it is read and decided on."""
    bench.fake.store("1", {"text": "theirs", "source": {"age": age}})

    outcome = expect(bench, Row("1", age=5), tick)

    assert bench.fake.text("1") == text
    assert outcome == (Written(_time(2)) if age == 4 else Left("newer"))
    assert bench.fake.reads == [["1"]]


def test_what_is_expected_is_gone(bench: Bench) -> None:
    """Where a document was expected that there is not, it is created."""
    assert expect(bench, Row("1", age=5), 7) == Written(_time(1))
    assert bench.fake.text("1") == "new"


def test_an_expected_write_whose_answer_is_lost(bench: Bench) -> None:
    """A write that happened although its answer was lost is known as one's own."""
    bench.fake.write_script.append(Fault(StatusCode.DEADLINE_EXCEEDED, after=True))

    assert expect(bench, Row("1", age=5), None) == Left("own")
    assert bench.fake.applied == {"1": 1}


def test_an_outcome_tells_what_it_was_decided_on(bench: Bench) -> None:
    """What was left, and what was changed in part, comes with the document as it was read."""
    bench.fake.store("1", {"text": "theirs", "source": {"age": 6}})
    bench.fake.store("2", {"text": "theirs", "source": {"age": 6}})

    def decide(row: Row, stored: Stored | None) -> Put | Leave:
        part = Put({"text": "filled"}, only=("text",))
        return part if row.key == "2" else newest_wins(row, stored)

    outcomes = bench.write(Row("1", age=5), Row("2", age=5), Row("3", age=5), decide=decide)

    left, filled, whole = (outcomes[key] for key in "123")
    assert isinstance(left, Left)
    assert isinstance(filled, Written)
    assert isinstance(whole, Written)
    assert left.stored == Stored({"source": {"age": 6}}, _time(1))
    assert filled.stored == Stored({"source": {"age": 6}}, _time(2))
    assert whole.stored is None


# -- all of it at once --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("create_only", [False, True], ids=["load", "bulk"])
def test_many_faults(bench: Bench, seed: int, create_only: bool) -> None:
    """Under a storm of faults on several threads each document ends right, with one outcome."""
    chance = random.Random(seed)
    fake = bench.fake
    keys = [str(number) for number in range(300)]
    theirs: dict[str, int] = {}
    at_first = {key for key in keys if chance.random() < 0.5}

    def compete(key: str, age: int) -> None:
        stored = fake.documents.get(ROOT + key)
        if stored is None or stored[0]["source"]["age"] < age:
            fake.store(key, {"text": "theirs", "source": {"age": age}})
        theirs[key] = max(age, theirs.get(key, 0))

    for key in at_first:
        compete(key, chance.choice([1, 9]))

    def storm() -> Iterator[Any]:
        while True:
            kind = chance.randrange(10)
            key, code = chance.choice(keys), chance.choice(PASSING)
            if kind < 2:
                yield Fault(code, after=kind == 0)
            elif kind < 4:
                yield OneWrite(key, code, after=kind == 2)
            elif kind == 4:
                yield partial(compete, key, chance.choice([1, 9]))
            else:
                yield None

    class Endless(deque[Any]):
        steps = storm()

        def __bool__(self) -> bool:
            return True

        def popleft(self) -> Any:
            return next(self.steps)

    fake.write_script = Endless()
    fake.read_script.extend([Fault(StatusCode.UNAVAILABLE), None] * 20)

    with bench.writer(in_flight=4, batch_size=20, create_only=create_only) as writer:
        for key in keys:
            writer.add(key, Row(key, age=5))

    assert Counter(row.key for row, _ in bench.results) == dict.fromkeys(keys, 1)
    if create_only:
        assert at_first.isdisjoint(fake.applied)
    else:
        newest = {key: max(5, theirs.get(key, 0)) for key in keys}
        assert newest == {key: fake.documents[ROOT + key][0]["source"]["age"] for key in keys}
    for key, outcome in bench.outcomes.items():
        own = isinstance(outcome, Written) or outcome == Left("own")
        # An own write with a lost answer may be replaced by a newer one before it is seen.
        assert fake.applied[key] == 1 if own else fake.applied[key] == 0 or outcome == Left("newer")


# -- pace ---------------------------------------------------------------------------------------


def test_pace_is_halved_once_a_round() -> None:
    """Calls that were under way together and are all pushed back halve the pace once."""
    pace = Pace(12)
    cuts = pace.cuts

    assert [pace.pushed_back(cuts) for _ in range(5)] == [True, False, False, False, False]
    assert pace.allowed == 6


def test_pace_never_ends() -> None:
    """However often the server pushes back, one call at a time is allowed."""
    pace = Pace(12)
    for _ in range(10):
        pace.pushed_back(pace.cuts)

    assert pace.allowed == 1


def test_pace_grows_by_one_a_round() -> None:
    """A round of good answers makes room for one call more, up to the most there may be."""
    pace = Pace(4)
    pace.pushed_back(pace.cuts)
    pace.pushed_back(pace.cuts)
    seen = []
    for _ in range(20):
        seen.append(pace.allowed)
        pace.answered()

    assert seen == sorted(seen)
    assert [seen.count(n) for n in (1, 2, 3)] == [1, 3, 3]
    assert pace.allowed == 4


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, FIRST_WAIT), (2, 0.5), (4, 2.0), (9, LONGEST_WAIT), (10_000, 20.0)]
)
def test_backoff(failures: int, bound: float) -> None:
    """A wait is anything from nothing to a bound that doubles up to the longest."""
    rng = random.Random(1)
    waits = [backoff(failures, rng=rng) for _ in range(400)]

    assert 0.0 <= min(waits) < bound * 0.05
    assert bound * 0.95 < max(waits) <= bound


def test_gate_follows_the_pace() -> None:
    """As many threads are let through at once as the pace allows, and no more."""
    pace = Pace(4)
    pace.pushed_back(pace.cuts)
    gate = Gate(pace)
    inside: list[int] = []
    seen: list[int] = []
    met = threading.Barrier(2, timeout=PATIENCE)

    def call() -> None:
        with gate.turn() as turn:
            inside.append(1)
            met.wait()  # two are let in together, or this breaks
            seen.append(len(inside))
            met.wait()  # both have looked before one leaves
            inside.pop()
            turn.cuts, turn.pushed_back = -1, True  # an old cut: the pace stays as it is

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert seen == [2] * 6


def test_failed_call_does_not_speed_up() -> None:
    """A call that was not answered leaves the pace as it is."""
    pace = Pace(4)
    pace.pushed_back(pace.cuts)
    gate = Gate(pace)
    for _ in range(10):
        with suppress(CallFailed), gate.turn():
            raise CallFailed("BatchWrite", StatusCode.UNAVAILABLE, "")

    assert pace.allowed == 2


@pytest.mark.parametrize(
    "code",
    [StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED],
    ids=lambda code: code.name,
)
@pytest.mark.parametrize("single", [False, True], ids=["whole call", "single write"])
def test_writer_slows_down(
    bench: Bench, caplog: pytest.LogCaptureFixture, code: StatusCode, single: bool
) -> None:
    """A server that pushes back gets fewer calls at once, and the log says how many."""
    bench.fake.write_script.append(OneWrite("100", code) if single else Fault(code))

    with caplog.at_level("INFO", logger="shared.firestore.bulk.pacing"):
        bench.write(*rows(3), in_flight=8)

    assert caplog.messages == ["Firestore pushes back: 4 calls at once"]


def test_writer_does_not_slow_down_for_other_faults(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that fails for another reason says nothing about the pace."""
    bench.fake.write_script.append(Fault(StatusCode.UNAVAILABLE))
    bench.fake.write_limit = 1  # "message exceeds maximum size" is RESOURCE_EXHAUSTED, too

    with caplog.at_level("INFO", logger="shared.firestore.bulk.pacing"):
        bench.write(*rows(3), in_flight=8)

    assert caplog.messages == []


def test_writer_keeps_to_the_ramp(bench: Bench) -> None:
    """No more documents are sent a second than the ramp lets, over all threads."""
    ramp = Ramp(10, now=bench.clock())

    bench.write(*rows(50), batch_size=5, ramp=ramp, rpc_timeout=5)

    assert sum(bench.clock.naps) == pytest.approx((50 - 10 - 5) / 10)
    assert len(bench.fake.writes) == 10


# -- the wire -----------------------------------------------------------------------------------


def test_writes_joined_are_a_request() -> None:
    """Encoded writes joined to the head of a request are the request with all of them."""
    head = RawRequest(database="projects/p/databases/d").SerializeToString()
    time = RawTimestamp(seconds=1, nanos=1_007)
    long = "é" * 5_000
    joined = head + b"".join(
        (
            encode_write("a", {"x": 1}, wire=encode_content({"m": {"n": long}}), base=None),
            encode_write("b", {"y": "z"}, base=time, only=("y", "gone")),
        )
    )

    expected = RawRequest(database="projects/p/databases/d")
    first, second = expected.writes.add(), expected.writes.add()
    first.update.name, second.update.name = "a", "b"
    first.update.fields["x"].integer_value = 1
    first.update.fields["m"].map_value.fields["n"].string_value = long
    first.current_document.exists = False
    second.update.fields["y"].string_value = "z"
    second.update_mask.field_paths.extend(("y", "gone"))
    second.current_document.update_time.CopyFrom(time)
    assert RawRequest.FromString(joined) == expected
