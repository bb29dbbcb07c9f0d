"""Tests that may be skipped in CI: the list in `tests/skips.txt`."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

LIST = Path(__file__).resolve().parents[1] / "skips.txt"


def in_ci() -> bool:
    """Whether the tests run in CI: the variable `CI` says so."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def allowed(reason: str) -> bool:
    """Whether a test may be skipped in CI for this reason."""
    return reason.startswith(_reasons())


@cache
def _reasons() -> tuple[str, ...]:
    return tuple(read(LIST.read_text()))


def read(text: str) -> dict[str, str]:
    """Return how a reason begins -> why it is allowed.

    Raises:
        ValueError: a line does not say why.
    """
    found = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        begins, _, why = (part.strip() for part in line.partition("|"))
        if not begins or not why:
            raise ValueError(f"Expected `how the reason begins | why it is allowed`, not {line!r}.")
        found[begins] = why
    return found
