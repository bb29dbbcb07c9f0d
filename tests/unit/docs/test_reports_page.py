"""docs/reports.md shows what the pipeline writes."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC

from shared.core import Problem
from shared.ledger import RowCounts
from shared.reporting.groups import groups_of
from shared.reporting.summary import summary_text
from tests.support.imports import make_import
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "reports.md").read_text("utf-8")


def test_the_example_of_a_summary() -> None:
    """The page shows a group of problems as the summary has it."""
    problems = [
        Problem(
            code="row.bad_date",
            message="The cell is not a date.",
            line=line,
            row=min(line, 8),  # a cell of line 7 has a line break
            column="ORDER_DATE",
            severity="row",
        )
        for line in (2, 3, 4, 5, 6, 7, 9)
    ]
    text = summary_text(
        make_import(
            "orders_20230424T201230Z",
            status="loaded_with_rejects",
            rows=RowCounts(read=90, loaded=83, rejected=7),
        ),
        groups=groups_of(problems),
        zone=UTC,
    )

    blocks = re.findall(r"\n\n((?:    .*\n)+)", PAGE)
    assert textwrap.dedent(blocks[0]).strip() in text
