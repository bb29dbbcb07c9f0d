"""An import makes no more calls than docs/benchmarks/calls.md says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import calls
from tests.integration.conftest import Servers

SAVED = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "calls.json"


def test_calls_of_an_import(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls are those that were saved: after a change, run `BENCH=calls make bench`."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", servers.firestore)

    steps = calls.measure(
        tmp_path, project="calls", firestore=servers.firestore, bucket=servers.storage
    )

    assert [list(row) for row in calls.table(steps).rows] == json.loads(SAVED.read_text())["rows"]
