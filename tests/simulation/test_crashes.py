"""Whatever dies or stalls between two effects, what comes of the files is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.history import History
from tests.simulation.oracle import in_file
from tests.simulation.scenarios import (
    CORRECTION,
    ERASURES,
    OVERTAKEN,
    SCENARIOS,
    correct,
    die,
    disturbed,
    stall,
    state,
    undisturbed,
)

STALLED = (
    *("rejects", "correction", "orders after customers", "first load", "changed rows"),
    *("lost events", "replay", "unusable orders that wait"),
)
"""Scenarios in which a stall shows more than a death."""


@pytest.mark.parametrize(
    ("act", "name"),
    [*((die, name) for name in SCENARIOS), *((stall, name) for name in STALLED)],
)
def test_between_any_two_effects(name: str, act: Callable[[History], None]) -> None:
    """Each function may die or stall between any two effects: the end is the same every time."""
    expected = undisturbed(name)
    expected.run()
    assert expected.world.effects >= 3

    for effect in range(1, expected.world.effects + 1):
        history = disturbed(name, effect, act)
        history.run()

        assert state(history) == state(expected), f"{act.__name__} before effect {effect}"


def test_a_correction_at_any_moment() -> None:
    """A correction may come between any two effects: what it says holds in the end."""
    expected = undisturbed("customers")
    expected.run()

    for effect in range(1, expected.world.effects + 1):
        history = disturbed("customers", effect, correct)
        history.run()

        (import_,) = history.imports().values()
        assert ("loaded", history.uploaded[-1].generation) == (import_.status, import_.generation)
        expected_documents = {
            f"customers/{key}": {
                path: value
                for path, value in in_file(CORRECTION.said, key, keep=False).items()
                if value is not None
            }
            for key in CORRECTION.said.contents
        }
        assert expected_documents == history.documents()


@pytest.mark.parametrize("name", ERASURES)
def test_erasures(name: str) -> None:
    """Whatever dies while somebody is erased, they are nowhere in the end."""
    effects = 0
    for effect in range(1, 1_000):
        history = disturbed(name, effect, die)
        history.run()
        if effect > history.world.effects:
            break
        effects += 1

    assert effects >= 30


@pytest.mark.parametrize("name", OVERTAKEN)
def test_a_write_that_arrives_after_an_undo_or_an_erasure(name: str) -> None:
    """It may create a removed document again. Undoing or erasing once more removes it."""
    again: set[str] = set()
    for effect in range(1, 1_000):
        history = disturbed(name, effect, stall)
        history.run()
        if effect > history.world.effects:
            break
        again |= {ask.command for ask in history.again}

    assert again == {ask.command for ask in undisturbed(name).plan.asks}


def test_two_deaths() -> None:
    """A second death during the repair of the first changes nothing either."""
    expected = undisturbed("rejects")
    expected.run()

    for effect in range(1, expected.world.effects + 1):
        history = disturbed("rejects", effect, die)
        history.world.between[effect + 3] = history.world.die
        history.run()

        assert state(history) == state(expected), f"dead before effects {effect}, {effect + 3}"
