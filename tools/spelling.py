"""Check the spelling of pages, comments, messages and names with codespell.

A finding is one line, such as `docs/mail.md:12: WRONG ==> RIGHT`. The words that are right although
codespell takes them for mistakes are in `pyproject.toml`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path

import codespell_lib


def findings(paths: Iterable[Path], *, root: Path) -> list[str]:
    """Return one line per misspelt word of the files and folders."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        codespell_lib.main("--toml", str(root / "pyproject.toml"), *map(str, paths))
    return sorted(line.removeprefix(f"{root}/") for line in output.getvalue().splitlines())
