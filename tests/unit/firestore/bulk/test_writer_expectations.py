"""Documents that are written by the block, on the expectation of what is stored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from google.cloud.firestore_v1 import types
from grpc import StatusCode
from numpy.typing import NDArray

from shared.core.errors import LeaseLost, TryAgain
from shared.firestore.bulk.encoding import encode_content
from shared.firestore.bulk.operations import Expectations, Left, Refused, Written
from shared.firestore.bulk.transport import WriteAnswer, encode_write, encode_writes
from shared.firestore.encoding import nanoseconds
from tests.unit.firestore.bulk.fake_firestore import (
    GIVES_UP,
    PASSING,
    Bench,
    Fault,
    OneWrite,
    Row,
    rows,
    time_of,
)

RawRequest: Any = types.BatchWriteRequest.pb()
RawResponse: Any = types.BatchWriteResponse.pb()


@dataclass
class Told:
    """What is told of documents that were written as expected: key -> update time."""

    bench: Bench
    times: dict[str, int] = field(default_factory=dict)

    def expect(self, some: Sequence[Row], ticks: Sequence[int | None]) -> Expectations[Row]:
        """Expect rows' documents to be of some ticks; None: that there are none."""

        def written(which: slice | list[int], updates: NDArray[np.int64]) -> None:
            places = range(len(some))[which] if isinstance(which, slice) else which
            assert len(places) == len(updates)
            for place, update in zip(places, updates.tolist(), strict=True):
                assert some[place].key not in self.times
                self.times[some[place].key] = update

        return Expectations(
            keys=[row.key for row in some],
            wires=[encode_content({"text": row.text}) for row in some],
            sources=[encode_content({"source": {"age": row.age}}) for row in some],
            updates=[0 if tick is None else nanoseconds(time_of(tick)) for tick in ticks],
            document=some.__getitem__,
            written=written,
        )

    def write(
        self, some: Sequence[Row], ticks: Sequence[int | None] | None = None, **options: Any
    ) -> None:
        """Write rows; every one of them must come out once, one way or the other."""
        with self.bench.writer(**options) as writer:
            writer.add_all(self.expect(some, ticks or [None] * len(some)))
        others = [row.key for row, _ in self.bench.results]
        assert sorted(row.key for row in some) == sorted([*others, *self.times])


@pytest.fixture
def told(bench: Bench) -> Told:
    return Told(bench)


def test_written_as_expected(bench: Bench, told: Told) -> None:
    """What comes out as expected is written unread, and told with the new update times."""
    bench.fake.store("1", {"text": "old", "gone": True, "source": {"age": 4}})

    told.write([Row("1", age=5), Row("2", age=5)], [1, None])

    assert told.times == {"1": nanoseconds(time_of(2)), "2": nanoseconds(time_of(3))}
    assert bench.fake.documents[_name("1")][0] == {"text": "new", "source": {"age": 5}}
    assert (bench.fake.reads, bench.results) == ([], [])


def test_batches(bench: Bench, told: Told) -> None:
    """Documents of several blocks fill one batch after the other."""
    some = rows(10)
    with bench.writer(batch_size=4) as writer:
        for part in (some[:3], some[3:4], some[4:4], some[4:]):
            writer.add_all(told.expect(part, [None] * len(part)))

    assert [len(names) for names in bench.fake.writes] == [4, 4, 2]
    assert set(told.times) == {row.key for row in some}


def test_some_come_out_otherwise(bench: Bench, told: Told) -> None:
    """Those of a batch that are not as expected are read and decided on, and no others."""
    bench.fake.store("2", {"text": "older", "source": {"age": 4}})
    bench.fake.store("3", {"text": "theirs", "source": {"age": 6}})

    told.write([Row(key, age=5) for key in "12345"], [None, None, None, 9, None])

    assert set(told.times) == {"1", "5"}
    assert bench.fake.reads == [["2", "3", "4"]]
    outcomes = bench.outcomes
    assert isinstance(outcomes["2"], Written)
    assert outcomes["3"] == Left("newer")
    assert isinstance(outcomes["4"], Written)
    assert {bench.fake.text(key) for key in "1245"} == {"new"}
    assert bench.fake.text("3") == "theirs"


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("after", [False, True])
def test_a_call_that_fails(bench: Bench, told: Told, code: StatusCode, after: bool) -> None:
    """A call that was not answered is sent again, and nothing of it is written twice."""
    bench.fake.write_script.append(Fault(code, after=after))

    told.write(rows(3))

    assert set(bench.fake.applied.values()) == {1}
    assert told.times == {}
    if after:
        assert set(bench.outcomes.values()) == {Left("own")}
    else:
        assert all(isinstance(outcome, Written) for outcome in bench.outcomes.values())


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("after", [False, True])
def test_one_that_fails(bench: Bench, told: Told, code: StatusCode, after: bool) -> None:
    """One document whose write is not answered well is seen to alone."""
    bench.fake.write_script.append(OneWrite("101", code, after=after))

    told.write(rows(3))

    assert set(told.times) == {"100", "102"}
    assert set(bench.fake.applied.items()) == {("100", 1), ("101", 1), ("102", 1)}
    assert set(bench.outcomes) == {"101"}


def test_one_that_is_refused(bench: Bench, told: Told) -> None:
    """A document that Firestore never takes does not keep the others from being written."""
    bench.fake.invalid["101"] = "The value of text is too strange."

    told.write(rows(3))

    assert isinstance(bench.outcomes["101"], Refused)
    assert {"100", "102"} == {
        key for key, one in bench.outcomes.items() if isinstance(one, Written)
    }


@pytest.mark.parametrize("code", GIVES_UP)
def test_what_cannot_be_mended(bench: Bench, told: Told, code: StatusCode) -> None:
    """A call that would fail for ever is not repeated for ever."""
    bench.fake.write_script.append(Fault(code))

    with pytest.raises(TryAgain, match=code.name):
        told.write(rows(3))


def test_an_answer_that_is_too_short(bench: Bench, told: Told) -> None:
    """An answer without a status for every write counts as none."""
    bench.fake.short_answers = 1

    told.write(rows(3))

    assert set(bench.outcomes.values()) == {Left("own")}
    assert set(bench.fake.applied.values()) == {1}


@pytest.mark.parametrize("key", ["", "1/2"])
def test_keys_that_name_no_document(bench: Bench, told: Told, key: str) -> None:
    """A key that would lead elsewhere is refused, and the others are written."""
    told.write([Row("1", age=5), Row(key, age=5)])

    assert isinstance(bench.outcomes[key], Refused)
    assert bench.fake.text("1") == "new"


def test_more_than_a_request_may_hold(bench: Bench, told: Told) -> None:
    """What does not fit into one request goes in several; what never fits is refused."""
    some = [*rows(4, text="x" * 300), Row("9", age=5, text="x" * 2_000)]

    told.write(some, request_bytes=1_000)

    assert max(bench.fake.sizes) <= 1_000
    assert isinstance(bench.outcomes["9"], Refused)
    assert {bench.fake.text(row.key) for row in some[:4]} == {"x" * 300}


def test_the_guard_is_asked_first(bench: Bench, told: Told) -> None:
    """Nothing is sent by a worker whose lease is lost."""

    def lost() -> None:
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost), bench.writer(guard=lost) as writer:
        writer.add_all(told.expect(rows(3), [None] * 3))

    assert (bench.fake.writes, told.times) == ([], {})


def test_only_creating(bench: Bench, told: Told) -> None:
    """A first load writes nothing over, whatever was expected."""
    bench.fake.store("101", {"text": "theirs", "source": {"age": 4}})

    told.write(rows(2), create_only=True)

    assert set(told.times) == {"100"}
    assert bench.outcomes == {"101": Left("exists")}
    assert bench.fake.text("101") == "theirs"


# -- the wire -----------------------------------------------------------------------------------


def test_many_are_written_as_one_is() -> None:
    """Encoded together, documents have the bytes that each of them has alone."""
    chance = random.Random(7)
    root = "projects/p/databases/(default)/documents/connections/au/customers/"
    keys = [f"k{chance.randrange(10 ** chance.randrange(1, 40))}é" for _ in range(200)]
    wires = [encode_content({"a": "x" * chance.randrange(0, 20_000)}) for _ in keys]
    sources = [encode_content({"source": {"row": chance.randrange(10**9)}}) for _ in keys]
    ticks = [chance.choice([None, chance.randrange(1, 10**6)]) for _ in keys]
    updates = [0 if tick is None else nanoseconds(time_of(tick)) for tick in ticks]

    pieces, size = encode_writes(root, keys, wires, sources, updates)

    made = b"".join(pieces)
    alone = [
        encode_write(root + key, {}, wire=wire + source, base=tick and time_of(tick))
        for key, wire, source, tick in zip(keys, wires, sources, ticks, strict=True)
    ]
    assert (b"".join(alone), len(made)) == (made, size)
    conditions = [write.current_document for write in RawRequest.FromString(made).writes]
    assert [nanoseconds(one.update_time) for one in conditions] == updates
    assert all(one.HasField("update_time") != one.HasField("exists") for one in conditions)


@pytest.mark.parametrize("update", [1, 999_999_999, 10**9, 1_796_068_756_123_456_789, 2**62])
def test_the_time_of_a_precondition_is_exact(update: int) -> None:
    """A stored document is written over only if its update time is right to the nanosecond."""
    pieces, _ = encode_writes("projects/p/", ["1"], [b""], [b""], [update])

    (write,) = RawRequest.FromString(b"".join(pieces)).writes
    assert nanoseconds(write.current_document.update_time) == update


@pytest.mark.parametrize("nanos", [0, 5, 70_000, 123_456_000, 999_999_999])
@pytest.mark.parametrize("count", [1, 3, 250])
def test_times_of_all(count: int, nanos: int) -> None:
    """The update times of an answer that is good throughout are read as they are."""
    answer = _answer(count, nanos)

    found = WriteAnswer(answer.SerializeToString(), count).times

    assert found is not None
    assert found.tolist() == [nanoseconds(one.update_time) for one in answer.write_results]


def test_times_that_are_left_to_others() -> None:
    """Nothing is said of an answer that is empty, not good throughout, or of uneven times."""
    bad, uneven, timeless = _answer(3, 5_000), _answer(3, 5_000), _answer(3, 5_000)
    bad.status[1].code = 6
    uneven.write_results[1].update_time.nanos = 5
    timeless.write_results[1].Clear()

    for answer in (RawResponse(), bad, uneven, timeless):
        assert WriteAnswer(answer.SerializeToString(), len(answer.status)).times is None


def _answer(count: int, nanos: int) -> Any:
    answer = RawResponse()
    for number in range(count):
        answer.status.add()
        time = answer.write_results.add().update_time
        time.seconds, time.nanos = 1_700_000_000 + number, nanos
    return answer


def _name(key: str) -> str:
    return f"projects/p/databases/(default)/documents/connections/au/customers/{key}"
