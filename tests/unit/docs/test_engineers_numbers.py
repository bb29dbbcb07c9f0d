"""The numbers on the pages for app developers and engineers are those of the code."""

from __future__ import annotations

import re

import pytest

from benchmarks.cloud import Assumptions
from shared.core import Deployment, length
from shared.firestore.bulk import pacing
from shared.index import choice, records
from shared.ledger import lease, parts, split
from shared.parsing import buffer
from tests.support.cloud import ROOT
from tests.unit.test_architecture import LONGEST

DEFAULTS = Deployment()
CLOUD = Assumptions()
DEPLOY = (ROOT / "deploy" / "deploy.sh").read_text("utf-8")
MIB = 1024**2
GROWTH = {1.5: "half as many again"}[float(pacing.GROWTH)]
STEP = {300: "five minutes"}[int(pacing.STEP)]
BEAT = {2: "two seconds"}[int(lease.BEAT_SECONDS)]
FACTS: tuple[tuple[str, str], ...] = (
    ("for-app-developers.md", f"Orders start {length(DEFAULTS.orders_delay)} after"),
    ("contributing.md", f"more than {LONGEST} lines"),
    ("performance.md", f"up to {parts.PORTIONS} shards"),
    ("performance.md", f"at most {buffer.ROOM_BYTES // MIB} MiB"),
    (
        "performance.md",
        f"accepts {DEFAULTS.writes_per_second} writes per second, and {GROWTH} every {STEP}",
    ),
    ("performance.md", f"the pace for {({600: 'ten'})[int(pacing.IDLE)]} minutes"),
    ("performance.md", f"`state/`, {records.RECORD.itemsize} bytes per document"),
    ("performance.md", f"up to {choice.RECORDS_PER_READ:,} times as many documents"),
    ("performance.md", f"at most {CLOUD.most_writes_per_second:,.0f} per second"),
    ("performance.md", f"one row of {CLOUD.row_bytes} bytes per document"),
    ("performance.md", f"{({2: 'two'})[int(CLOUD.fixed_seconds)]} seconds per import"),
    ("performance.md", f"takes {CLOUD.read * 1e6:g} µs per row here"),
    ("reliability.md", f"renews its lease every {BEAT}"),
    ("reliability.md", f"For up to {BEAT}"),
    ("decisions/005-judge-before-write.md", f"up to {buffer.ROOM_BYTES // MIB} MiB"),
    ("decisions/012-shards.md", f"after {({10: 'ten'})[split.HELD.seconds // 60]} minutes"),
)


@pytest.mark.parametrize(("page", "words"), FACTS)
def test_fact(page: str, words: str) -> None:
    """A page has the number of the code in this sentence."""
    assert words in " ".join((ROOT / "docs" / page).read_text("utf-8").split())


def test_memory_of_load() -> None:
    """The page says how much memory the load function has."""
    (size,) = re.findall(r"--memory=(\w+)i [^)]*--timeout=1800s", DEPLOY)

    assert size == "1G"
    assert "It has 1 GiB" in (ROOT / "docs" / "performance.md").read_text("utf-8")
