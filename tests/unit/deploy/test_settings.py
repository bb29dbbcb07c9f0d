"""The settings that are deployed are the settings that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from shared.core.settings import ENVIRONMENT, Deployment
from tests.support.cloud import ROOT

OTHERS = {
    "CLOUD_TASKS_EMULATOR_HOST": "a queue on this machine",
    "FIRESTORE_EMULATOR_HOST": "a database on this machine",
    "K_SERVICE": "what Cloud Run calls a function",
    "NO_COLOR": "a person's terminal",
    "TERM": "a person's terminal",
}
"""Variables that are read and are no settings of the deployment."""

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
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|`"))

    assert set() == {name for name in ENVIRONMENT.values() if f"`{name}`" not in rows}


def test_no_placeholder_is_left() -> None:
    """A value speaks of nothing but what deploy/lib.sh puts in."""
    places = {place for _, _, value in lines() for place in re.findall(r"\$\w+", value)}

    assert places <= {"$PROJECT", "$PROJECT_NUMBER", "$REGION", "$BUCKET", "$QUEUE"}


def read_by_the_code() -> Iterator[str]:
    """Give each environment variable that deployed code reads by its name."""
    for folder in ("functions", "gateway", "shared"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Subscript(value=source, slice=ast.Constant(value=str(name))):
                        pass
                    case ast.Call(
                        func=ast.Attribute(value=source, attr="get" | "getenv"),
                        args=[ast.Constant(value=str(name)), *_],
                    ):
                        pass
                    case _:
                        continue
                if re.search(r"(^|\.)(os|environ|environment(\(\))?)$", ast.unparse(source)):
                    yield name


def test_every_variable_is_a_setting() -> None:
    """Deployed code reads the settings, which are all deployed, and no other variable."""
    found = set(read_by_the_code())

    assert set() == found - set(ENVIRONMENT.values()) - OTHERS.keys()
    assert OTHERS.keys() <= found
