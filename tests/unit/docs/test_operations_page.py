"""docs/operations.md says what is so."""

from __future__ import annotations

import json
import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.cloud import PROJECT, ROOT, Cloud, steps
from tools import links

PAGE = (ROOT / "docs" / "operations.md").read_text()
PROGRAMS = {"gcloud", "export", "git", "printf", "a21"}
"""What the lines of the page begin with, besides this project's own scripts."""


def tables() -> list[list[list[str]]]:
    """Read the tables of the page: rows of cells, without the head."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()[2:]]
        for block in blocks
    ]


def table(first: str) -> list[list[str]]:
    """Find the table whose first row begins with that cell."""
    (found,) = [rows for rows in tables() if rows[0][0] == first]
    return found


def lines() -> list[str]:
    """Read the command lines of the page."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What a deployment runs, word by word."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    return [shlex.split(line) for step in steps() for line in cloud.show(*step).splitlines()]


def flags(words: list[str]) -> dict[str, str]:
    """Read the flags of a command line."""
    parts = [word.lstrip("-").partition("=") for word in words if word.startswith("--")]
    return {name: value for name, _, value in parts}


def test_sizes(deployed: list[list[str]]) -> None:
    """The table of sizes is what is deployed."""
    names = ("memory", "timeout", "concurrency", "max-instances")
    sizes = {
        words[3]: [flags(words)[name] for name in names]
        for words in deployed
        if words[1:3] == ["functions", "deploy"]
    }

    assert sizes == {row[0].strip("`"): row[1:] for row in table("`classify`")}


def test_quota(deployed: list[list[str]]) -> None:
    """All instances together leave two of the CPUs that a new project may use in a region."""
    functions = [flags(words) for words in deployed if words[1:3] == ["functions", "deploy"]]
    assert {one["cpu"] for one in functions} == {"1"}
    assert "Each instance has one CPU." in PAGE
    used = sum(int(one["max-instances"]) * int(one["cpu"]) for one in functions)

    assert (len(functions), used) == (4, 20 - 2)
    assert f"together have {used}, " in PAGE


def test_queue(deployed: list[list[str]]) -> None:
    """The sentences about the queue are true, and load has an instance for each task."""
    (queue,) = [flags(words) for words in deployed if words[1:3] == ["tasks", "queues"]]
    (load,) = [flags(words) for words in deployed if words[1:4] == ["functions", "deploy", "load"]]

    said = (
        f"starts {queue['max-concurrent-dispatches']} tasks at once, and "
        f"{queue['max-dispatches-per-second']} a second. It retries after "
        f"{queue['min-backoff']} to {queue['max-backoff']}, doubling "
        f"{queue['max-doublings']} times, until the ledger ends the attempts"
    )
    assert said in " ".join(PAGE.split())
    assert queue["max-attempts"] == "-1"
    assert load["max-instances"] == queue["max-concurrent-dispatches"]


def test_alert_policies() -> None:
    """Each alert policy is explained, and none that there is not."""
    policies = {f"`{file.stem}`" for file in (ROOT / "deploy/monitoring/policies").glob("*.json")}

    assert policies == {row[0] for row in table("`import-alerts`")}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "deploy/monitoring/policies").glob("*.json")), ids=lambda file: file.stem
)
def test_mails_of_policies(file: Path) -> None:
    """The mail of an alert policy ends in the page to read, with a heading that is there."""
    content = json.loads(file.read_text("utf-8"))["documentation"]["content"]

    assert re.search(r" See docs/\w+\.md(#[\w-]+)?\.$", content)
    assert list(links.in_code(content, root=ROOT)) == []


def test_cost() -> None:
    """The table of costs is calculated right."""
    *rows, total = next(rows for rows in tables() if rows[0][0].startswith("Firestore reads"))

    for what, amount, price, dollars in rows:
        exact = Decimal(amount) * Decimal(price)
        assert abs(exact - Decimal(dollars)) <= Decimal("0.005"), what
    assert Decimal(total[3]) == sum(Decimal(row[3]) for row in rows)


def test_programs() -> None:
    """Every line begins with a program that the reader has, or with one of this project."""
    for line in lines():
        program = line.split()[0]
        if program not in PROGRAMS:
            assert (ROOT / program).is_file(), line


def test_scripts(tmp_path: Path) -> None:
    """The scripts take the lines of the page."""
    cloud = Cloud(tmp_path)
    key = tmp_path / "au-erp.pub"
    key.touch()
    tried = 0
    for line in lines():
        for script, arguments in re.findall(r"\bdeploy/([\w/]+\.sh)((?: [^)\"\n]+)?)", line):
            words = shlex.split(arguments.replace("$PROJECT", PROJECT))
            # The key file that a retailer sends.
            words = [str(key) if word.endswith(".pub") else word for word in words]
            cloud.show(script, *words)
            tried += 1

    assert tried >= 5


def test_variables_are_the_settings(tmp_path: Path) -> None:
    """deploy.sh variables says in a shell's words what the functions are told."""
    shown = Cloud(tmp_path).show("deploy.sh", "variables")
    settings = (ROOT / "deploy" / "settings.env").read_text()

    names = re.findall(r"^([A-Z_]+)=", settings, re.MULTILINE)
    assert names == re.findall(r"^export ([A-Z_]+)=", shown, re.MULTILINE)
    assert f"export BUCKET={PROJECT}-uploads\n" in shown
