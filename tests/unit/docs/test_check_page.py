"""docs/check.md shows what the check prints."""

from __future__ import annotations

import re

import pytest

from shared.check import cli
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "check.md").read_text("utf-8")


def test_the_example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the example are those of the program, apart from where they break."""
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"\n\n((?:    .*\n|\n)+)", PAGE)
    command, *shown = block.strip().splitlines()
    assert shown.pop().strip() == "…"

    code = cli.main(command.partition("shared.check ")[2].split())

    assert code == 1
    assert " ".join(" ".join(shown).split()) in " ".join(capsys.readouterr().out.split())


def test_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option is on the page, and each exit code in the order of the help."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    help_text = capsys.readouterr().out

    options = set(re.findall(r"--[a-z-]+", help_text.partition("examples:")[0])) - {"--help"}
    assert options == set(re.findall(r"`(--[a-z-]+)", PAGE))
    codes = re.findall(r"^ {2}(\d+) ", help_text.partition("exit codes:")[2], re.M)
    (said,) = [part for part in PAGE.split("\n\n") if part.startswith("Exit code ")]
    assert codes == re.findall(r"(\d+): ", said)
