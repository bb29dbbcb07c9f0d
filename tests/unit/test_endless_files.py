"""Files larger than memory, made as they are read: what a process needs for them stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_memory() -> None:
    """A gigabyte that is one row, or rows that are none, never costs more than 160 MB."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.support.endless"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(process.stdout)

    assert {name: one["code"] for name, one in found.items()} == {
        "no line end": "file.record_too_long",
        "no closing quote": "file.record_too_long",
        "no end of the header": "header.too_long",
        "endless header": "header.too_long",
        "endless cells": "file.record_too_long",
        "zero bytes": "file.record_too_long",
        "blank lines": None,
        "rows of 250,000 cells": None,
    }
    assert max(one["needed"] for one in found.values()) < 160
    assert max(one["read"] for one in found.values() if one["code"]) < 8
    assert found["blank lines"]["rows"] == 0
    assert found["rows of 250,000 cells"]["rows"] > 20
