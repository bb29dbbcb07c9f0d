"""The recipes of docs/contributing.md, applied letter by letter to a copy of the whole tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")
RECIPES = PAGE[PAGE.index("## Recipes\n") : PAGE.index("## Changes of documents\n")]
GENERATED = {*re.findall(r"^    \.venv/bin/python -m (tools\S+) > (\S+)$", RECIPES, re.MULTILINE)}
KIT = {*re.findall(r"^    \.venv/bin/python -m (tools\S+)$", RECIPES, re.MULTILINE)}
LEFT_OUT = (".git", ".venv", ".data", ".*_cache", ".hypothesis", "__pycache__", "build")

CHECKS = {
    "lint": ["ruff", "check", "--no-cache", "--quiet", "."],
    "format": ["ruff", "format", "--no-cache", "--quiet", "--check", "."],
    "style": ["tools.style"],
    "types": [
        *("mypy", "--no-error-summary", "--cache-dir", ".mypy_cache"),
        *("shared/files", "shared/core", "tools/reference"),
    ],
    "tests": [
        *("pytest", "-q", "-p", "no:cacheprovider"),
        *("tests/unit/files", "tests/unit/core", "tests/unit/docs", "tests/unit/status"),
        *("tests/unit/scheduling", "tests/unit/privacy", "tests/unit/test_architecture.py"),
        *("tests/unit/deploy/test_settings.py", "tests/unit/local/test_sample_data.py"),
        *(
            "tests/unit/gateway/test_paths.py",
            "tests/integration/test_documents.py::test_documented",
        ),
    ],
}


def apply(block: str, tree: Path) -> None:
    """Apply the block of a recipe: each part names a file, new lines, and where they go."""
    for part in re.split(r"^--- ", block, flags=re.MULTILINE)[1:]:
        name, *lines = part.rstrip("\n").split("\n")
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines)
        text = (tree / name).read_text(encoding="utf-8")
        assert text.count(f"\n{before}") == 1, f"{name} has no one place for: {before}"
        (tree / name).write_text(text.replace(f"\n{before}", f"\n{after}"), encoding="utf-8")


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in the copy."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=tree, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the code, kind, column, setting and type of the recipes."""
    tree = tmp_path_factory.mktemp("recipes") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copy(tree / "docs/examples/giftcards.py", tree / "shared/files/types")
    for block in re.findall(r"^```diff\n(.*?)^```$", RECIPES, re.MULTILINE | re.DOTALL):
        apply(block, tree)
    for command in (("check", "--fix-only"), ("format",)):  # make format
        run(tree, "ruff", *command, "--no-cache", "--quiet", ".")
    for module, page in GENERATED:
        made = run(tree, module)
        assert made.returncode == 0, made.stderr
        (tree / page).write_text(made.stdout, encoding="utf-8")
    for module in KIT:
        made = run(tree, module)
        assert made.returncode == 0, made.stderr
    return tree


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_is_green(tree: Path, name: str) -> None:
    """Whoever follows the recipes has nothing else to change: lint, types and tests are green."""
    done = run(tree, *CHECKS[name])

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_recipes_did_something(tree: Path) -> None:
    """The new code, kind, column, setting and type are in the copy's pages."""
    words = {
        "docs/errors.md": "`row.bad_country`",
        "docs/formats.md": "|country|",
        "docs/data-model.md": "`address.countryCode`",
        "docs/ledger.md": "`ALERTS_KEPT`",
        "docs/security.md": "giftCards",
    }

    assert [page for page, word in words.items() if word not in (tree / page).read_text()] == []
    assert "## giftcards" in (tree / "docs/formats.md").read_text()
