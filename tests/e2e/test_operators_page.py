"""The first tasks of docs/for-operators.md work on one machine, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.stack import ROOT, Hands, Up, hands_on, run

PAGE = (ROOT / "docs" / "for-operators.md").read_text("utf-8")
TASKS = re.findall(r"`(put|a21) ([^`]+)`", PAGE[PAGE.index("## First tasks") :])
DEMANDING = ("undo", "erase")
"""Commands that ask before they change anything."""


def put(hands: Hands, source: str, folder: str = "") -> None:
    """Upload a file as the page says, and wait until it is loaded, waits, or is rejected."""
    file = Path(source)
    hands.upload(f"{folder}{file.name}", (ROOT / source).read_bytes())
    connection = folder.removeprefix("pending/").strip("/") or "main"
    ends = ("rejected",) if "/faulty/" in source else ("loaded", "waiting")
    hands.wait_for(connection, file.stem, *ends)


def test_first_tasks(tmp_path: Path) -> None:
    """Each command does what the page says of it, from the first upload to the erasure."""
    said: dict[str, str] = {}
    with Up(tmp_path / "data") as up, hands_on(up.ready()) as hands:
        for word, line in TASKS:
            words = shlex.split(line)
            if word == "put":
                put(hands, *words)
                continue
            if words[0] in DEMANDING and "--dry-run" not in words:
                run("local", *words, "--dry-run", "--data", up.data)
                words.append("--yes")
            said[words[0]] = said.get(words[0], "") + run("local", *words, "--data", up.data)
            if words[0] in ("release", "replay"):
                hands.wait_for(*words[1].split("/"), "loaded")
        assert "nz is added" in said["connections"]
        assert "customers  no file yet" in said["connections"]
        assert "customers_20241120T050200Z.csv: Not loaded." in said["alerts"]
        assert "What to do: " in said["alerts"]
        assert "is undone" in said["undo"]
        assert hands.ids("connections/main/customers") == set()
        assert hands.count("connections/nz/orders") > 0

        (person,) = re.findall(r"a21 erase (\S+)", PAGE)
        assert "Would erase: 6 order numbers in reports and ledger, " in said["erase"]
        assert "nothing is left" in run(
            "local", "erase", person, "--connection", "nz", "--yes", "--data", up.data
        )
