"""A skipped test fails in CI, unless its reason is on the list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloud import ROOT
from tests.support.skips import allowed, read

TESTS = """
import pytest

def test_missing():
    pytest.skip("chromium is not installed")

@pytest.mark.skipif(True, reason="lftp is not installed")
def test_marked():
    pass

def test_allowed():
    pytest.skip("The Google Cloud CLI is not installed.")

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    assert False
"""


def run(folder: Path, tests: str, *, ci: str) -> tuple[int, str]:
    """Run tests under the hooks of this project; gives the exit code and what pytest says."""
    (folder / "test_some.py").write_text(tests)
    options = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def test_in_ci(tmp_path: Path) -> None:
    """With CI set, a test that is skipped for a reason off the list fails, and says what to do."""
    code, output = run(tmp_path, TESTS, ci="true")

    assert code == 1
    assert "1 failed, 1 skipped, 1 xfailed, 1 error in" in output
    assert "or add the reason to tests/skips.txt" in output


def test_a_whole_file(tmp_path: Path) -> None:
    """A file of tests that is skipped as a whole fails, too."""
    code, output = run(tmp_path, "import pytest\npytest.importorskip('no_such_module')", ci="1")

    assert code != 0
    assert "no_such_module" in output
    assert "or add the reason to tests/skips.txt" in output


@pytest.mark.parametrize("ci", ["", "false"])
def test_elsewhere(tmp_path: Path, ci: str) -> None:
    """Without CI every test may be skipped."""
    code, output = run(tmp_path, TESTS, ci=ci)

    assert code == 0
    assert "3 skipped, 1 xfailed in" in output


def test_the_list_says_why() -> None:
    """Every line of the list gives a reason for the exception; a line without one is refused."""
    assert allowed("The Google Cloud CLI is not installed: its check is left out")
    assert not allowed("lftp is not installed")
    with pytest.raises(ValueError, match="why it is allowed"):
        read("lftp is not installed")
