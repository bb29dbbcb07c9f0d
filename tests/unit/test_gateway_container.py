"""What the gateway's container is made of."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pinned(file: str) -> dict[str, str]:
    """Read a file of requirements: name -> version; every line pins one."""
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-r")))


def test_everything_is_pinned() -> None:
    """Whatever a package of the container needs is in the list itself, in a version that it takes.

    The image is built without looking for anything else.
    """
    listed = pinned("gateway/requirements.txt")
    missing = {
        f"{name} needs {needed}"
        for name in listed
        for needed in map(Requirement, requires(name) or ())
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
        if not needed.specifier.contains(
            listed.get(canonicalize_name(needed.name), "0"), prereleases=True
        )
    }

    assert set() == missing


def test_the_versions_are_those_tested() -> None:
    """The container holds the very versions that the tests run with."""
    listed = pinned("gateway/requirements.txt")
    tested = pinned("requirements.in") | pinned("requirements-dev.in")

    assert {name: tested[name] for name in listed if name in tested} == {
        name: version for name, version in listed.items() if name in tested
    }
    assert {"asyncssh", "cryptography", "google-cloud-storage"} <= listed.keys() & tested.keys()


def test_it_has_no_rights() -> None:
    """The container runs as an ordinary user, and says how it tells that it is well."""
    text = (ROOT / "gateway/Dockerfile").read_text()

    assert "USER gateway" in text.splitlines()
    assert re.search(r'HEALTHCHECK [^"]+\["python", "-m", "gateway", "check"', text)
