"""The page about the formats says what the tables say."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from shared.files import filetype
from shared.files.cells import KINDS
from shared.files.filetype import all_types, file_type
from shared.files.names import ExportFile, read_name
from tests.support.cells import check
from tools.reference import formats
from tools.reference.tables import table


def test_page_is_up_to_date() -> None:
    """docs/formats.md is what the tables come to: else run python -m tools.reference.formats."""
    assert formats.page() == formats.PAGE.read_text(encoding="utf-8")


def test_page_holds_every_column() -> None:
    """Every column, its other names, its field and its kind are on the page, and no other kind."""
    page = formats.page()
    kinds = {column.kind for type_ in all_types() for column in type_.own_columns}

    for type_ in all_types():
        section = page.split(f"\n## {type_.name}\n")[1].split("\n## ")[0]
        for column in type_.own_columns:
            (line,) = (row for row in section.splitlines() if row.startswith(f"|`{column.name}`"))
            fields = [
                one.field if one.part != "item" else f"{type_.items}[].{one.field}"
                for one in type_.columns
                if column.name in (one.name, one.reads)
            ]
            assert f"|{column.kind.name}|" in line
            assert line.endswith(f"|{', '.join(f'`{field}`' for field in fields)}|")
            assert all(f"*{alias}*" in line for alias in column.aliases)
    assert [f"|{kind.name}|{kind.form}" for kind in KINDS if kind in kinds] == [
        row.rpartition("|")[0].rpartition("|")[0]
        for row in page.split("|format|accepted|examples|\n|---|---|---|\n")[1]
        .split("\n\n")[0]
        .splitlines()
    ]


@pytest.mark.parametrize("name", ["customers", "orders", "rewards"])
def test_examples_are_right(name: str) -> None:
    """The example files on the page can be loaded without a complaint."""
    rows = list(csv.DictReader(io.StringIO(filetype.example_csv(file_type(name)))))

    checked = check(name, rows)

    assert 2 == len(rows) == len(checked.rows)
    assert checked.warnings == []
    assert isinstance(read_name(f"{name}_{filetype.EXAMPLE_STAMP}.csv"), ExportFile)


def test_tables_are_whole() -> None:
    """No cell breaks the table it stands in."""
    for block in formats.page().split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_delimiter_in_a_cell() -> None:
    """A | in a cell does not end it."""
    text = table(["what"], [["comma or |"]])

    assert text == "|what|\n|---|\n|comma or \\||"


def test_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check answers 0 for the page as it should be and 1 for any other, saying what to run."""
    monkeypatch.setattr(formats, "PAGE", tmp_path / "formats.md")

    codes = [formats.main(["--check"])]
    for text in (formats.page(), formats.page() + "x"):
        formats.PAGE.write_text(text, encoding="utf-8")
        codes.append(formats.main(["--check"]))

    assert codes == [1, 0, 1]
    assert "python -m tools.reference.formats > docs/formats.md" in capsys.readouterr().err


def test_prints(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Without arguments the page is printed, in UTF-8 whatever the terminal."""
    code = formats.main([])

    assert (0, formats.page().encode()) == (code, capsysbinary.readouterr().out)


def test_unknown_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is told how it is used."""
    assert formats.main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err
