"""Random histories of faults, each compared with what the files say must come of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from shared.firestore.bulk.transport import Stored
from shared.index.feed import Successor
from shared.index.records import UNKNOWN
from shared.index.session import Indexing
from shared.ledger.feeds import Holder
from tests.simulation.history import History
from tests.simulation.plans import plan
from tests.simulation.world import Failure
from tests.support.stack import ROOT

RUNS = 80
PARTS = 8
BROKEN = (
    19,
    23,
    411,
    1025,
    1679,
    2365,
    2671,
    3372,
    3747,
    4115,
    5090,
    5427,
    5494,
    6051,
    6219,
    8392,
    9653,
    12056,
    13093,
    30050,
    50062,
)
"""Seeds of histories that have once gone wrong."""


@pytest.mark.parametrize("part", range(PARTS))
def test_histories(part: int) -> None:
    """Nothing is lost, loaded twice or out of order in any of the first histories."""
    for seed in range(part, RUNS, PARTS):
        try:
            History(seed, plan(seed)).run()
        except Failure as failure:
            pytest.fail(f"make simulate SEED={seed} RUNS=1: {failure}")


@pytest.mark.parametrize("seed", BROKEN)
def test_what_once_went_wrong(seed: int) -> None:
    """What has once been found by a long run stays right."""
    History(seed, plan(seed)).run()


def test_indexes_of_several_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The histories have imports that leave objects of the index unread, ask Firestore instead,
    and merge objects."""
    seen: Counter[str] = Counter()
    take_answer, write = Indexing._take_answer, Indexing._write

    def answered(index: Indexing, place: int, stored: Stored) -> None:
        take_answer(index, place, stored)
        seen["believed"] += index._table.content(place) != UNKNOWN

    def written(index: Indexing, holder: Holder | None) -> Successor:
        successor = write(index, holder)
        before = successor.before.parts if successor.before else ()
        kept = [part for part in before if part in successor.after.parts]
        seen[f"{min(len(before) - len(kept), 2)} merged"] += 1
        seen["kept"] += bool(kept)
        return successor

    monkeypatch.setattr(Indexing, "_take_answer", answered)
    monkeypatch.setattr(Indexing, "_write", written)

    for seed in range(RUNS // 2):
        History(seed, plan(seed)).run()

    assert {"believed", "0 merged", "1 merged", "2 merged", "kept"} <= {
        what for what, times in seen.items() if times
    }


def test_a_seed_is_a_history() -> None:
    """A seed gives the same history every time, to the last call, whatever ran before it."""
    traces = []
    for seed in (4, 3, 3):
        history = History(seed, plan(seed), tracing=True)
        history.run()
        traces.append(history.world.trace)

    assert traces[1] == traces[2]
    assert traces[0] != traces[1]


def test_command() -> None:
    """The command runs the histories that it is asked for and says how they went."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--runs", "2", "--trace"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Seed 7, weather" in ran.stdout
    assert "2 histories (" in ran.stdout
    assert ran.stdout.rstrip().endswith("0 failed.")
