"""CHANGELOG.md begins with the version of the project, which pyproject.toml alone names."""

from __future__ import annotations

import re
import tomllib
from datetime import date

from tests.support.stack import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
RELEASES = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \((\S+)\)", heading) for heading in HEADINGS]


def test_the_newest_release_comes_first() -> None:
    """Each section is a version with its day, newest first, and the first is the project's."""
    found = [
        (tuple(map(int, release.groups()[:3])), date.fromisoformat(release[4]))
        for release in RELEASES
        if release
    ]
    assert len(found) == len(HEADINGS) > 0
    assert found == sorted(found, reverse=True)
    assert ".".join(map(str, found[0][0])) == PROJECT["version"]
