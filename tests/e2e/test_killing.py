"""Workers are killed while they load."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.killing import load_under_fire

ROWS, KILLS = 10_000, 2


def test_killed_workers(tmp_path: Path) -> None:
    """With its workers killed by SIGKILL, a file ends with exactly the right documents and counts.

    `make kill` does it with more rows and more kills.
    """
    outcome = load_under_fire(tmp_path / "data", rows=ROWS, kills=KILLS)

    rows = outcome.import_.rows
    assert outcome.differences == []
    assert outcome.import_.status == "loaded_with_rejects"
    assert (rows.read, rows.loaded, rows.unchanged, rows.rejected) == (
        *(ROWS, ROWS - outcome.bad, 0, outcome.bad),
    )
    assert outcome.kills == KILLS
    assert outcome.import_.attempt > KILLS
