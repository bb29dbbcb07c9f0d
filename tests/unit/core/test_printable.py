"""Text from outside is shown so that no terminal obeys it, and no row is quoted as a header."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from shared.check import cli
from shared.core.errors import FileRejected, Problem
from shared.core.logs import log
from shared.core.printable import column_name, printable, printable_json
from shared.core.settings import ConnectionSettings, Deployment
from shared.files.filetype import file_type
from shared.files.names import Misnamed, read_name
from shared.files.rules import Rules
from shared.parsing.csv.header import read_header
from shared.status.rendering import _ENVIRONMENT
from shared.terminal import Screen, Words

HOSTILE = "\x1b]0;owned\x07", "\x1b[2J", "a\rb", "a\u202eb", "a\x85b", "a\x7f", "a\udc80", "\x9b2J"
"""Titles, clearing, overwriting, turning around, C1 controls, and what is no Unicode."""


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_obeyed(text: str) -> None:
    """Nothing of a hostile text is left that cannot be seen, wherever a text is shown."""
    problem = Problem(code="header.blank_column", message=text, column=text)
    stream = io.StringIO()
    screen = Screen(stream, width=40)
    screen.line(text)
    screen.table(["a", "b"], [[Words(text), Words(text)]])
    screen.facts([("a", text)])
    screen.paragraph(text)
    page = _ENVIRONMENT.from_string("<b>\n{{ text }}</b>").render(text=text)

    shown = [printable(text), str(problem), *stream.getvalue().split("\n"), *page.split("\n")]
    assert [one for one in shown if not one.isprintable()] == []
    "".join(shown).encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_json(text: str) -> None:
    """JSON holds no unprintable character either, and is read back as it was."""
    told = printable_json({"name": text, "é": ["日本"]}, indent=2)

    assert all(line.isprintable() for line in told.split("\n"))
    assert {"name": text, "é": ["日本"]} == json.loads(told)
    assert "日本" in told


def test_what_is_harmless() -> None:
    """Text of any language stays as it is, and so does text that was escaped before."""
    for text in ("Zoë Łukasz 日本 …", printable("\x1b[2J\u202e")):
        assert text == printable(text)
    assert printable("\x1b[2J\u202e") == r"\x1b[2J\u202e"


@pytest.mark.parametrize("text", HOSTILE)
def test_logs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log line holds no control character, nor its message once the JSON has been read; a field
    is data, and is read back as it was."""
    log("INFO", text, path=text)

    told = capsys.readouterr().out
    assert told.rstrip("\n").isprintable()
    line = json.loads(told)
    assert (printable(text), text) == (line["message"], line["path"])


def test_colours_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours of our own reach a terminal, and escapes in a text do not, coloured or not."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    screen = Screen(stream, width=40)
    screen.line("\x1b[8ma", Words("a\x1b[2J", "bad"))

    assert stream.getvalue() == "\\x1b[8ma\x1b[31ma\\x1b[2J\x1b[0m\n"


DATA = b"65432,ana.lee@example.com,Ana,+61 412 345 678,2000\n"
"""A row where the header should be."""


@pytest.mark.parametrize(
    "header",
    [
        DATA,
        b"EMAIL," + DATA,
        b"CITY,Email," + DATA,
        b"PERIDX," + DATA,
        b"65432;CITY;ana.lee@example.com;0412345678\n",
        b"PERIDX,EMAIL,ana.lee@example.com,ana.lee@example.com\n",
        b"PERIDX,EMAIL,65432,65432\n",
    ],
)
def test_a_row_instead_of_a_header(header: bytes) -> None:
    """No cell of a row that stands in the header's place is quoted."""
    settings = ConnectionSettings.from_document({}, connection="au", deployment=Deployment())
    layout = file_type("customers").layout(Rules.of(settings))

    with pytest.raises(FileRejected) as refused:
        read_header(header + DATA, layout, final=True)

    told = str(refused.value)
    assert [word for word in ("ana", "Ana", "65432", "412", "@") if word in told] == []


def test_names_of_columns() -> None:
    """A name is quoted as far as it is one: unprintable characters escaped, long ones cut."""
    assert column_name("FIRSTNAME") == "FIRSTNAME"
    assert column_name("ADDRESS_LINE1 ") == "ADDRESS_LINE1 "
    assert column_name("EMAIL\x1b[2J") == r"EMAIL\x1b[2J"
    assert len(column_name("X" * 5_000)) == 60
    for cell in ("a@b.au", "0412 345 678", "65432", "7"):
        assert column_name(cell) == "(not quoted: looks like data)"


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;x\x07", "\u202e", "\x85", "\x9b2J", "\udc80"])
@pytest.mark.parametrize("json_", [(), ("--json",)])
def test_the_check(
    text: str, json_: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check shows hostile names of files and columns, in its words and in its page."""
    path = tmp_path / f"customers_20230424T201230Z{text}.csv"
    path.write_bytes(f"PERIDX,EMAIL,X{text}\n1,a@b.au,\n".encode("utf-8", "replace"))
    page = tmp_path / "page.html"

    cli.main([str(path), "--type", "customers", "--html", str(page), *json_])
    cli.main(["--fix-name", path.name])
    cli.main([f"{path}missing"])

    said = capsys.readouterr()
    told = said.out + said.err + page.read_text(encoding="utf-8")
    assert set() == {c for c in told if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_files(text: str) -> None:
    """What is said of a hostile file name can be shown and stored."""
    named = read_name(f"pending/au/customers_{text}.csv")

    assert isinstance(named, Misnamed)
    assert str(named.problem).isprintable()
    assert named.report_json.isprintable()
