"""docs/reliability.md names only tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_named_tests_exist(path: str, test: str) -> None:
    """Every proof that the page names is there to be run."""
    module = ast.parse(Path(ROOT, path).read_text("utf-8"))

    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    assert not test or test in functions


def test_every_promise_has_a_proof() -> None:
    """No row of the table of promises is without a test."""
    table = PAGE.split("|promise|proof|\n|---|---|\n")[1].split("\n\n")[0]

    proofs = [row.strip("|").split("|")[-1] for row in table.splitlines()]
    assert all("`tests/" in proof and "::" in proof for proof in proofs)
