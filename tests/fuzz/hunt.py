"""How inputs are made from a seed, and the smallest one that breaks a promise is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, given
from hypothesis import strategies as st

from tests.fuzz import files, names

TARGETS: Mapping[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], None]]] = {
    "names": (names.INPUTS, names.check),
    "files": (files.INPUTS, files.check),
}
"""Target -> its inputs, and what must hold for each."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An input that breaks a promise."""

    data: bytes
    error: Exception

    @property
    def hex(self) -> str:
        """The input as it can be given to a command."""
        return self.data.hex() or '""'


def replay(target: str, data: bytes) -> None:
    """Check one input; raises what is wrong with it."""
    _, check = TARGETS[target]
    check(data)


def hunt(target: str, *, seed: int, examples: int) -> Broken | None:
    """Check so many inputs, always the same ones of a seed; None when all of them hold."""
    inputs, check = TARGETS[target]
    last = b""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(inputs)
    def holds(data: bytes) -> None:
        nonlocal last
        last = data
        check(data)

    try:
        holds()
    except Exception as error:
        return Broken(last, error)
    return None
