"""Many files and many connections at once."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bursts import ROWS, burst

FILES = 24


def test_burst(tmp_path: Path) -> None:
    """Files that arrive at once are loaded with three tasks each at most; nobody is kept out.

    `make load-test` does it with more of everything.
    """
    outcome = burst(tmp_path / "data", files=FILES, sessions=4, connections=2, crowd=8)

    assert outcome.statuses == {"loaded": FILES}
    assert outcome.documents == FILES * ROWS
    assert outcome.most_tasks <= 3
    assert outcome.logged_in == 8
