"""Defaults of settings that pages name are those of the code."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from shared.core import Deployment, length, percent
from shared.core.settings import ENVIRONMENT
from tests.support.stack import ROOT

SETTINGS = {variable: name for name, variable in ENVIRONMENT.items()}
NAMED = re.compile(
    r"`([A-Z][A-Z_]+)`(?:,| is| \(|:)? ?(?:by default )?"
    r"(\d[\d.,]*(?:%| days| day| hours| hour| minutes| seconds| s\b)?)"
)
"""A setting with its value behind it, e.g. `` `REPORTS_RETENTION` (90 days) ``."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def said(name: str) -> set[str]:
    """Return the ways in which a page may say a default."""
    value = getattr(Deployment(), name)
    if isinstance(value, timedelta):
        return {length(value), f"{value.total_seconds():.0f} s"}
    if isinstance(value, float):
        return {percent(value), str(value)}
    return {f"{value:,}", str(value)} if isinstance(value, int) else {str(value)}


def wrong(text: str) -> list[str]:
    """Return the defaults of a text that are not those of the code."""
    return [
        f"{variable} is not {value}"
        for variable, value in NAMED.findall(text)
        if variable in SETTINGS and value.rstrip(".,") not in said(SETTINGS[variable])
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_defaults(page: Path) -> None:
    """A number behind the name of a setting is its default."""
    assert wrong(" ".join(page.read_text("utf-8").split())) == []


def test_a_wrong_default_is_found() -> None:
    """The test can fail: it knows the forms that pages use."""
    text = (
        "`REPORTS_RETENTION` (90 days), `REPORTS_RETENTION` (91 days), `REJECT_LIMIT` (20%), "
        "`REJECT_LIMIT`, 25%. `SHARDS_AT_ONCE` (8), `SHARDS_AT_ONCE` (9)"
    )

    assert wrong(text) == [
        "REPORTS_RETENTION is not 91 days",
        "REJECT_LIMIT is not 25%",
        "SHARDS_AT_ONCE is not 9",
    ]
