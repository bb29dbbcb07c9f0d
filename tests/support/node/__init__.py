"""Node.js with the packages of package.json, installed once into build/node."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

WANTED = Path(__file__).parent
INSTALLED = Path(__file__).resolve().parents[3] / "build" / "node"


def packages() -> Path:
    """Return the folder with `node_modules`; skips the test if they cannot be installed.

    They are installed again when package-lock.json has changed.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / ".lock").open("w") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm)
    return INSTALLED


def _install(npm: str) -> None:
    done = INSTALLED / ".done"
    wanted = (WANTED / "package-lock.json").read_bytes()
    if done.is_file() and done.read_bytes() == wanted:
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WANTED / name, INSTALLED / name)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    made = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=PATIENCE)
    if made.returncode:
        pytest.skip(f"npm cannot install the packages: {made.stderr.strip()[-200:]}")
    done.write_bytes(wanted)


@contextmanager
def folder(files: Iterable[Path]) -> Iterator[Path]:
    """Give a folder with copies of some files, in which the packages are found."""
    with tempfile.TemporaryDirectory(dir=packages()) as name:
        place = Path(name)
        for file in files:
            shutil.copy(file, place / file.name)
        yield place


def run(*arguments: str | Path, cwd: Path) -> str:
    """Run `node` with these arguments and return its output; fails the test with what it says."""
    ended = subprocess.run(
        ["node", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    return ended.stdout
