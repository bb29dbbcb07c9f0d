"""The page about alerts knows every kind of alert and every field of one."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from shared.core.serialize import camel
from shared.mail.delivery import FAILED
from shared.reporting.alerts import (
    FEED_STOPPED,
    IMPORT_CODES,
    LATE,
    OUTDATED,
    REFUSED_NAME,
    REJECTED,
    Alert,
)
from shared.sweeping.unusable import CODE as UNUSABLE

PAGE = (Path(__file__).resolve().parents[3] / "docs/alerts.md").read_text()


def test_every_kind() -> None:
    """Each kind of alert has a row that says what to do, and no other has one."""
    table = PAGE[PAGE.index("|`code`|") : PAGE.index("## The document")]
    documented = set(re.findall(r"^\|`(\w+)`\|", table, re.MULTILINE)) - {"code"}

    assert {
        *IMPORT_CODES,
        FEED_STOPPED,
        LATE,
        FAILED,
        OUTDATED,
        REFUSED_NAME,
        REJECTED,
        UNUSABLE,
    } == documented


def test_every_field() -> None:
    """Each field of the document is explained."""
    named = {camel(spec.name) for spec in fields(Alert) if spec.name != "id"} | {"open"}

    assert set() == {name for name in named if f"`{name}`" not in PAGE}
