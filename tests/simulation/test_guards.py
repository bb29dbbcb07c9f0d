"""Whether the simulation would notice: with any one guard gone, it fails."""

from __future__ import annotations

import pytest

from tests.simulation.guards import GUARDS
from tests.simulation.world import Failure


@pytest.mark.parametrize("name", GUARDS)
def test_without_a_guard(name: str) -> None:
    """Every guard is needed: without it, one of a few histories breaks a promise."""
    guard = GUARDS[name]

    def fails() -> bool:
        for history in guard.histories():
            with guard.without(history):
                try:
                    history.run()
                except Failure:
                    return True
        return False

    assert fails(), f"nothing is wrong although it is no longer so that {guard.what}"
