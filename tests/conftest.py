"""Makes a skipped test fail in CI, unless its reason is on the list in `skips.txt`.

CI is where the environment variable `CI` is set. Anywhere else a test may be skipped for whatever
its machine lacks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

from tests.support.skips import allowed, in_ci

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


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
