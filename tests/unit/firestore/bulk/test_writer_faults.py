"""Faults of single writes and of whole calls: those that pass, and those that do not."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from grpc import StatusCode

from shared.core.codes import CODES
from shared.core.errors import TryAgain
from shared.firestore.bulk.operations import Left, Refused, Written
from shared.firestore.bulk.pacing import LONGEST_WAIT
from tests.unit.firestore.bulk.fake_firestore import (
    GIVES_UP,
    PASSING,
    Bench,
    Fault,
    OneWrite,
    RawResponse,
    Row,
    rows,
)

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

    def only_the_first(writes: Iterable[bytes], *, timeout: float) -> bytes:
        bench.clock.now += 20.0
        first, *rest = writes
        answer = RawResponse.FromString(write([first], timeout=timeout))
        for _ in rest:
            answer.status.add().code = StatusCode.ABORTED.value[0]
            answer.write_results.add()
        return bytes(answer.SerializeToString())

    bench.fake.write = only_the_first  # type: ignore[method-assign]

    bench.write(*rows(10), patience=30.0)

    assert bench.clock.now >= 1_000.0 + 10 * 20.0


def test_time_a_call_may_take(bench: Bench) -> None:
    """A call may take as long as said."""
    bench.write(Row("1", age=5), rpc_timeout=30.0)

    assert bench.fake.timeouts == [30.0, 30.0]
