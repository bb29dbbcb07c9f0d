"""How many calls of a writer are under way, and how many writes it sends a second."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest
from grpc import StatusCode

from shared.firestore.bulk.pacing import FIRST_WAIT, LONGEST_WAIT, Gate, Pace, Ramp, backoff
from shared.firestore.bulk.transport import CallFailed
from tests.support.waiting import PATIENCE
from tests.unit.firestore.bulk.fake_firestore import Bench, Fault, OneWrite, rows


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
