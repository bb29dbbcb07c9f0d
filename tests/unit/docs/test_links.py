"""The check of links finds pages and headings that do not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import links, style


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("# How it is built\n", {"how-it-is-built"}),
        ("## `extra`: the rest, kept\n", {"extra-the-rest-kept"}),
        ("## See [the page](a.md) ##\n", {"see-the-page"}),
        ("## One\n## One\n", {"one", "one-1"}),
        ("```\n# a comment\n```\n", set()),
    ],
)
def test_anchors(page: str, found: set[str]) -> None:
    """A heading has the anchor that GitHub gives it."""
    assert links.anchors(page) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](b.md), [c](#here), [d](b.md#there), [e](https://example.com/none)\n\n# Here\n", []),
        ("[a](none.md)\n", [(1, "docs/none.md does not exist")]),
        ("\n[a](b.md#none)\n", [(2, 'docs/b.md has no heading "none"')]),
        ("[a](#none)\n", [(1, 'docs/a.md has no heading "none"')]),
        ("![picture](none.webp)\n", [(1, "docs/none.webp does not exist")]),
        ("[a]: none.md\n", [(1, "docs/none.md does not exist")]),
        ("`[a](none.md)`\n```\n[b](none.md)\n```\n", []),
    ],
)
def test_in_page(text: str, found: list[tuple[int, str]], tmp_path: Path) -> None:
    """A link to a file or heading that does not exist is found with its line; code is not read."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# There\n")
    page = tmp_path / "docs/a.md"
    page.write_text(text)

    assert list(links.in_page(page, root=tmp_path)) == found


def test_in_code(tmp_path: Path) -> None:
    """A page that a message names must exist."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# There\n")
    name = "docs/none" + ".md"

    found = list(links.in_code(f"See docs/b.md#there.\nSee {name}.\n", root=tmp_path))

    assert found == [(2, f"{name} does not exist")]


def test_lint_reports_a_broken_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make lint` fails for a broken link, and names its page and line."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("[a](none.md)\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(style, "ROOT", tmp_path)

    assert style.main() == 1
    assert capsys.readouterr().out == "docs/a.md:1: docs/none.md does not exist\n"
