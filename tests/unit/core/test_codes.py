"""Every code is known, explained and used."""

from __future__ import annotations

import re
from pathlib import Path

from shared.core.codes import CODES
from shared.files.names import Misnamed, read_name
from tools.reference.code_examples import EXAMPLES
from tools.reference.errors import page

ROOT = Path(__file__).resolve().parents[3]
_CODE = re.compile(r'"((?:file|header|name|order|reward|row|settings|system|write)\.[a-z0-9_]+)"')


def test_codes_and_program_agree() -> None:
    """The program uses just the codes that the table explains."""
    used: set[str] = set()
    for folder in ("shared", "functions", "gateway"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file.name not in ("codes.py", "code_examples.py"):
                used |= set(_CODE.findall(file.read_text()))

    assert set(CODES) == used


def test_every_code_has_an_example() -> None:
    """Each code has an example, and those of names are examples indeed."""
    assert set(CODES) == set(EXAMPLES)
    for name, example in EXAMPLES.items():
        if name.startswith("name.") and example.startswith("`"):
            read = read_name(example.strip("`"))
            assert isinstance(read, Misnamed), example
            assert name == read.problem.code


def test_every_code_is_explained() -> None:
    """Meaning and fix are sentences."""
    for name, code in CODES.items():
        for text in (code.meaning, code.fix):
            assert text[0].isupper(), name
            assert text.endswith("."), name


def test_the_page_is_up_to_date() -> None:
    """docs/errors.md is up to date: else run python -m tools.reference.errors."""
    assert page() == (ROOT / "docs" / "errors.md").read_text()
