"""A short hunt for names and files that break what must hold, always for the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import hunt as hunting
from tests.fuzz.__main__ import main
from tests.fuzz.hunt import TARGETS, hunt, replay

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("target", "examples"), [("names", 400), ("files", 120)])
def test_short_hunt(target: str, examples: int) -> None:
    """Nothing is broken by the inputs of the first seed."""
    found = hunt(target, seed=1, examples=examples)

    assert found is None, f"--replay {target} {found.hex}: {found.error}"


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_empty_input(target: str) -> None:
    """Neither an empty name nor an empty file breaks anything."""
    replay(target, b"")


def test_what_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken promise is found, made small, and printed so that it can be replayed."""
    inputs, _ = TARGETS["files"]

    def no_quotes(data: bytes) -> None:
        assert b'"' not in data, "quotes are not liked"

    monkeypatch.setattr(hunting, "TARGETS", {"files": (inputs, no_quotes)})
    monkeypatch.setattr("tests.fuzz.__main__.TARGETS", {"files": None})

    assert main(["--seconds", "0", "--seed", "5"]) == 1

    output = capsys.readouterr().out
    assert "quotes are not liked" in output
    octets = output.split()[-1]
    assert b'"' in bytes.fromhex(octets)
    with pytest.raises(AssertionError, match="quotes are not liked"):
        main(["--replay", "files", octets])


def test_replay_from_the_command_line() -> None:
    """One input can be checked again by a command."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay", "names", b"a//\x00b".hex()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stdout) == (0, "It holds.\n")
