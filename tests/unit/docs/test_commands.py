"""Every command line on the pages is one that its program takes."""

from __future__ import annotations

import re
import shlex

import pytest

from gateway.__main__ import _server_parser
from gateway.commands import commands_parser
from local import cli
from shared import ops
from shared.core import ConnectionSettings, Deployment
from shared.ops.connections import _assignment, _changed
from tests.support.cloud import ROOT

PAGES = sorted(
    ["README.md", "samples/README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
SHORT = "a21"
"""The short name that docs/for-operators.md defines for both programs."""

_COMMAND = re.compile(
    rf"(?:python -m (shared\.ops|local|gateway)|(?<![\w`])({SHORT})|(?<=`)({SHORT})) ([^`\n|]+)"
)
_PLACEHOLDERS = re.compile(r"^/|COMMAND|…|\.\.\.|\$@|\(\)|^completion ")


def commands(page: str) -> list[tuple[str, str]]:
    """Return the program and the arguments of each command line of a page."""
    found = []
    for program, *short, arguments in _COMMAND.findall((ROOT / page).read_text("utf-8")):
        words = re.split(r" {2,}#|\)$", arguments)[0].strip()
        if not _PLACEHOLDERS.search(words):
            found.append((program or next(filter(None, short)), words))
    return found


LINES = sorted({(page, *line) for page in PAGES for line in commands(page)})


@pytest.mark.parametrize(("page", "program", "arguments"), LINES)
def test_parsed(page: str, program: str, arguments: str) -> None:
    """The program's own parser takes the line, and the settings of a connection can be used."""
    words = shlex.split(arguments)
    if program == "gateway":
        (_server_parser() if words[0].startswith("-") else commands_parser()).parse_args(words)
        return
    parser = cli.parser() if program == "local" else ops.parser()
    parsed = parser.parse_args(ops.with_defaults(words))
    settings = [_assignment(text) for text in getattr(parsed, "setting", ())]
    ConnectionSettings.from_document(
        _changed({}, settings), connection="au", deployment=Deployment()
    )


def test_found() -> None:
    """The lines are found in every form in which pages write them."""
    found = {(program, arguments.split()[0]) for _, program, arguments in LINES}

    assert {
        ("local", "up"),
        ("shared.ops", "connections"),
        (SHORT, "erase"),
        ("gateway", "add-user"),
    } <= found
    assert {"replay", "release", "alerts", "connections"} <= {command for _, command in found}


@pytest.mark.parametrize("line", ["python -m shared.ops load x", "`a21 undo x --dryrun`"])
def test_a_wrong_line_is_found(line: str) -> None:
    """A command or an option that does not exist is refused."""
    ((_, *_, arguments),) = _COMMAND.findall(line)
    with pytest.raises(SystemExit):
        ops.parser().parse_args(shlex.split(arguments))
