"""What holds for all tests: which may be skipped, and that none depends on the machine's speed.

A skipped test fails in CI, unless its reason is on the list in `skips.txt`. CI is where the
environment variable `CI` is set. Anywhere else any test may be skipped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.support.skips import allowed, in_ci

# Hypothesis would fail a test for an example that takes 200 ms, or for examples made too slowly.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell starts a job in the background with SIGINT ignored; what a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run a worker more than there are cores: some tests mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at what has become of a test."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at what has become of a file of tests."""
    return _judged((yield))


def _judged(report: _Report) -> _Report:
    # An expected failure is reported as skipped, too.
    if report.skipped and not hasattr(report, "wasxfail") and in_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        reason = str(reason).removeprefix("Skipped: ")
        if not allowed(reason):
            report.outcome = "failed"
            report.longrepr = (
                f"Skipped in CI: {reason}\n"
                "Install what it needs in .ci/run, or add the reason to tests/skips.txt."
            )
    return report
