"""Writing documents, against a small Firestore in memory that fails as it is told to."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode

from shared.core.errors import LeaseLost, TryAgain
from shared.firestore.bulk.encoding import encode_content
from shared.firestore.bulk.operations import Expected, Leave, Left, Outcome, Put, Refused, Written
from shared.firestore.bulk.transport import Stored, encode_write
from tests.support.waiting import PATIENCE
from tests.unit.firestore.bulk.fake_firestore import (
    PASSING,
    ROOT,
    Bench,
    Fault,
    OneWrite,
    RawRequest,
    RawTimestamp,
    Row,
    newest_wins,
    rows,
    time_of,
)

# -- without faults -----------------------------------------------------------------------------


def test_new_document(bench: Bench) -> None:
    """A document that is not there yet is created, and the outcome has its update time."""
    outcomes = bench.write(Row("1", age=5))

    data, tick = bench.fake.documents[ROOT + "1"]
    assert data == {"text": "new", "source": {"age": 5}}
    assert outcomes == {"1": Written(time_of(tick))}


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
    time = None if tick is None else time_of(tick)
    with bench.writer(**options) as writer:
        writer.add(row.key, row, Expected(Put(row.data), time))
    return bench.outcomes[row.key]


def test_what_is_expected_is_not_read(bench: Bench) -> None:
    """Where the stored document is the one expected, it is written without being read."""
    bench.fake.store("1", {"text": "old", "source": {"age": 4}})

    assert expect(bench, Row("1", age=5), 1) == Written(time_of(2))
    assert expect(bench, Row("2", age=5), None) == Written(time_of(3))
    assert (bench.fake.text("1"), bench.fake.text("2"), bench.fake.reads) == ("new", "new", [])


@pytest.mark.parametrize("tick", [None, 7])
@pytest.mark.parametrize(("age", "text"), [(4, "new"), (6, "theirs")])
def test_what_is_stored_is_another(bench: Bench, tick: int | None, age: int, text: str) -> None:
    """Where another document is stored than expected, it is read and decided on."""
    bench.fake.store("1", {"text": "theirs", "source": {"age": age}})

    outcome = expect(bench, Row("1", age=5), tick)

    assert bench.fake.text("1") == text
    assert outcome == (Written(time_of(2)) if age == 4 else Left("newer"))
    assert bench.fake.reads == [["1"]]


def test_what_is_expected_is_gone(bench: Bench) -> None:
    """Where a document was expected that there is not, it is created."""
    assert expect(bench, Row("1", age=5), 7) == Written(time_of(1))
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
    assert left.stored == Stored({"source": {"age": 6}}, time_of(1))
    assert filled.stored == Stored({"source": {"age": 6}}, time_of(2))
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
