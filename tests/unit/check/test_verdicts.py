"""How the check is asked, and how it answers."""

from __future__ import annotations

import html.parser
import io
import json
from pathlib import Path

import pytest

from shared.check.cli import main
from shared.core.phrases import size
from shared.files.filetype import example_csv, file_type
from shared.terminal import ProgressBar

GOOD = example_csv(file_type("customers"))
ROWS = GOOD + GOOD.splitlines()[1].replace("65432", "x") + "\n" + GOOD.partition("\n")[2] * 5
NAME = "customers_20230424T201230Z.csv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of each kind, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text(GOOD, encoding="utf-8")
    (tmp_path / "customers_20230425T201230Z.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "customers_20230426T201230Z.csv").write_text("A,B\n1,2\n", encoding="utf-8")
    (tmp_path / "Customers_20230424.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "my export.csv").write_text(GOOD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([NAME], 0, "✓ Dry run passed: all 2 rows would load."),
        (
            ["customers_20230425T201230Z.csv"],
            1,
            "! Dry run: 12 of 13 rows would load. 1 row has errors.",
        ),
        (["customers_20230426T201230Z.csv"], 2, "✗ This file would be rejected. "),
        (["Customers_20230424.csv"], 2, "→ rename it to customers_20230424T000000Z.csv"),
        (["my export.csv"], 2, "not looked at: the name does not tell what it is"),
        (["my export.csv", "--type", "customers"], 2, "2 read, 2 good, 0 with errors"),
        ([NAME, "customers_20230425T201230Z.csv"], 1, "✓ Dry run passed: all 2 rows would load."),
        (["--describe", "orders"], 0, "ORDER_NUMBER  (needed: the key)"),
        (["--sample", "customers"], 0, "PERIDX,PERSON_CODE,FIRSTNAME"),
        (["--fix-name", "Customers_20230424.csv"], 0, "customers_20230424T000000Z.csv\n"),
        (["--fix-name", NAME], 0, f"{NAME}\n"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_answers(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each question has its answer and its exit code, without an escape code off a terminal."""
    assert code == main(arguments)

    said = capsys.readouterr().out
    assert says in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.csv"], 2, "nowhere.csv: No such file or directory"),
        (["."], 2, ".: Is a directory"),
        (["--fix-name", "notes.txt"], 2, "notes.txt: "),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_done(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read or guessed is said on standard error."""
    assert code == main(arguments)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a file to check"),
        ([NAME, "--time-zone", "Sydney"], "expected a time zone such as Australia/Sydney"),
        ([NAME, "--settings", NAME], "it is not JSON"),
        ([NAME, "--settings", "nowhere.json"], "No such file or directory"),
        ([NAME, "--html", "nowhere/page.html"], "No such file or directory"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_use(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that makes no sense has an exit code of its own."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 64
    assert says in capsys.readouterr().err


def test_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the connection's settings, its own names of columns are known."""
    own = GOOD.replace("PERIDX", "CUSTOMER_NO", 1)
    (folder / NAME).write_text(own, encoding="utf-8")
    (folder / "au.json").write_text('{"keyColumn": "CUSTOMER_NO"}', encoding="utf-8")

    assert main([NAME]) == 2
    assert main([NAME, "--settings", "au.json"]) == 0
    assert "Dry run passed" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs there is one document with every file and finding."""
    assert main([NAME, "customers_20230425T201230Z.csv", "--json"]) == 1

    answer = json.loads(capsys.readouterr().out)
    first, second = answer["files"]
    assert (answer["exitCode"], first["verdict"], second["verdict"]) == (1, "good", "rows")
    assert second["rows"] == {"read": 13, "good": 12, "rejected": 1}
    problem = next(one for one in second["problems"] if one["code"] == "row.bad_key")
    assert (problem["line"], problem["column"]) == (4, "PERIDX")
    assert problem["hint"]


def test_html(folder: Path) -> None:
    """The page stands alone, names every finding and escapes what comes from the file."""
    odd = GOOD.replace("PERSON_CODE", "<script>alert(1)</script>", 1)
    (folder / NAME).write_text(odd, encoding="utf-8")

    assert main([NAME, "customers_20230425T201230Z.csv", "--html", "page.html"]) == 1

    page = (folder / "page.html").read_text(encoding="utf-8")
    html.parser.HTMLParser().feed(page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "row.bad_key" in page
    assert "http" not in page


class Terminal(io.StringIO):
    """Something to write to that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_bar() -> None:
    """On a terminal a long file has a bar, which goes in the end; a short one has none."""
    terminal = Terminal()
    bar = ProgressBar("x.csv", 10_000_000, terminal)
    bar(0)
    bar(50)
    bar(50)
    bar.close()
    silent = Terminal()
    ProgressBar("x.csv", 1_000, silent)(50)

    assert "███████████████░" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K")
    assert terminal.getvalue().count("x.csv") == 2
    assert silent.getvalue() == ""


def test_sizes() -> None:
    """Sizes are read as people say them."""
    assert [size(number) for number in (999, 1_000, 20_500_000, 1_234_000_000)] == [
        "999 bytes",
        "1.0 kB",
        "20.5 MB",
        "1.2 GB",
    ]
