"""Whether the simulation would notice: with any one guard gone, it fails."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulation.guards import GUARDS
from tests.simulation.world import Failure


@pytest.mark.parametrize("name", GUARDS)
def test_without_a_guard(name: str) -> None:
    """Every guard is needed: without it, one of a few histories breaks a promise, and with it the
    same history breaks none."""
    guard = GUARDS[name]

    def needed() -> int | None:
        for number, history in enumerate(guard.histories()):
            with guard.without(history):
                try:
                    history.run()
                except Failure:
                    return number
        return None

    number = needed()
    assert number is not None, f"nothing is wrong although it is no longer so that {guard.what}"

    next(islice(guard.histories(), number, None)).run()  # nothing else is wrong with it
