"""The pages that each role begins with are short, and what they name is there."""

from __future__ import annotations

import csv
import importlib.util
import re

import pytest

from tests.support.stack import ROOT

DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text("utf-8")
ROLES = [name for name in PAGES if name.startswith("for-")]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("name", ROLES)
def test_a_role_has_one_page(name: str) -> None:
    """A page of a role has at most 400 words."""
    assert len(PAGES[name].split()) <= 400


def test_every_page_is_listed() -> None:
    """docs/README.md, to which the pages of the roles lead, links every page of docs/."""
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text("utf-8")))
    assert listed == {path.name for path in DOCS.glob("*.md")} - {"README.md"}


def test_places_exist() -> None:
    """Each file and folder that the page for engineers names exists, beside the one before it."""
    rows = [line for line in PAGES["for-engineers.md"].splitlines() if line.startswith("|")]
    missing = []
    for row in rows:
        folder = ROOT
        for name in re.findall(r"`([\w/-]+(?:\.py|/))`", row):
            place = ROOT / name if "/" in name.rstrip("/") or name.endswith("/") else folder / name
            if not place.exists() and not (folder / name).exists():
                missing.append(name)
            if place.parent != ROOT:
                folder = place.parent
    assert len(rows) > 10
    assert missing == []


@pytest.mark.parametrize("name", sorted(PAGES))
def test_programs_exist(name: str) -> None:
    """Each module that a page runs with `python -m`, and each target of `make`, exists."""
    modules = set(re.findall(r"python -m ((?!pytest|pip)[a-z_][\w.]*\w)", PAGES[name]))
    targets = set(re.findall(r"(?:^ {4}|`|BENCH=\w+ )make ((?:[a-z-]+ ?)+)", PAGES[name], re.M))

    assert [one for one in modules if importlib.util.find_spec(one) is None] == []
    words = {word for target in targets for word in target.split()}
    assert [word for word in words if not re.search(rf"^{word}:", MAKEFILE, re.M)] == []


def test_the_example_of_app_developers() -> None:
    """The person whose orders are read has some in the samples, and the functions are there."""
    page = PAGES["for-app-developers.md"]
    (person,) = set(re.findall(r'(?:orders_of|ordersOf)\(db, "main", "(\d+)"\)', page))
    samples = re.findall(r"put (samples/\S+)", page)

    with (ROOT / next(name for name in samples if "/orders_" in name)).open(newline="") as file:
        assert person in {row["PERIDX"] for row in csv.DictReader(file)}
    assert all((ROOT / name).is_file() for name in samples)
    assert "def orders_of(" in (DOCS / "examples/reading.py").read_text()
    assert "function ordersOf(" in (DOCS / "examples/reading.mjs").read_text()
