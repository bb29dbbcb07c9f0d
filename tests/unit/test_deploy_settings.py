"""The settings that are deployed are the settings that there are."""

from __future__ import annotations

import re

from shared.settings import ENVIRONMENT, Deployment
from tests.support.cloud import ROOT

_LINE = re.compile(r"(#?)([A-Z_]+)=(.*)")


def lines() -> list[tuple[str, str, str]]:
    """Read deploy/settings.env: whether it is a default, the variable, and its value."""
    text = (ROOT / "deploy" / "settings.env").read_text()
    found = [_LINE.fullmatch(line) for line in text.splitlines()]
    return [(match[1], match[2], match[3]) for match in found if match]


def test_every_setting_is_there_once() -> None:
    """deploy/settings.env has one line for each setting, deployed or shown with its default."""
    assert sorted(ENVIRONMENT.values()) == sorted(name for _, name, _ in lines())


def test_defaults() -> None:
    """What is shown as a default is the default."""
    setting = {variable: name for name, variable in ENVIRONMENT.items()}
    for is_default, variable, value in lines():
        if is_default:
            deployment = Deployment.from_environment({variable: value})
            name = setting[variable]
            assert getattr(Deployment(), name) == getattr(deployment, name), variable


def test_every_setting_is_explained() -> None:
    """docs/ledger.md has a row for each setting."""
    text = (ROOT / "docs" / "ledger.md").read_text()
    rows = "\n".join(line for line in text.splitlines() if line.startswith("| `"))

    assert set() == {name for name in ENVIRONMENT.values() if f"`{name}`" not in rows}


def test_no_placeholder_is_left() -> None:
    """A value speaks of nothing but what deploy/lib.sh puts in."""
    places = {place for _, _, value in lines() for place in re.findall(r"\$\w+", value)}

    assert places <= {"$PROJECT", "$PROJECT_NUMBER", "$REGION", "$BUCKET", "$QUEUE"}
