"""The check of spelling finds a misspelt word, and lets those pass that pyproject.toml names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import spelling, style

MISSPELT = "rec" + "ieve"


def test_findings(tmp_path: Path) -> None:
    """A misspelt word in a page or a comment is found with its line."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "page.md").write_text(f"We\n{MISSPELT} files.\n")
    (tmp_path / "code.py").write_text(f"x = 1  # To {MISSPELT} files.\n")

    found = spelling.findings([tmp_path / "page.md", tmp_path / "code.py"], root=tmp_path)

    assert found == [f"code.py:1: {MISSPELT} ==> receive", f"page.md:2: {MISSPELT} ==> receive"]


def test_named_words_pass(tmp_path: Path) -> None:
    """A word that the settings name is no finding."""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.codespell]\nignore-words-list = "{MISSPELT}"\n'
    )
    (tmp_path / "page.md").write_text(f"We {MISSPELT} files.\n")

    assert spelling.findings([tmp_path], root=tmp_path) == []


def test_lint_reports_a_misspelt_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make lint` fails for a misspelt word."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "README.md").write_text(f"We {MISSPELT} files.\n")
    monkeypatch.setattr(style, "ROOT", tmp_path)

    assert style.main() == 1
    assert capsys.readouterr().out == f"README.md:1: {MISSPELT} ==> receive\n"
