"""The pinned packages are what the short lists ask for, and all that these bring along."""

from __future__ import annotations

import re
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
DEPLOYED = pytest.mark.parametrize("name", ["requirements", "gateway/requirements"])
PAIRS = pytest.mark.parametrize(
    "name", ["requirements", "requirements-dev", "gateway/requirements"]
)


def asked(name: str) -> dict[str, Requirement]:
    """Read a short list: name -> requirement, those of the list that it includes as well."""
    found = {}
    for line in (ROOT / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found.update(asked(line.removeprefix("-r ").removesuffix(".in")))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def locked(name: str) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Read a file of pinned packages: name -> requirement, and its hashes."""
    text = (ROOT / f"{name}.txt").read_text().replace("\\\n", "")
    found: dict[str, tuple[Requirement, frozenset[str]]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.partition(" --hash=")[0])
            hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
            found[canonicalize_name(requirement.name)] = (requirement, hashes)
    return found


@PAIRS
def test_what_is_asked_for_is_pinned(name: str) -> None:
    """Every package of a short list is pinned in just the version that it names."""
    pins = locked(name)

    assert {name: str(one.specifier) for name, one in asked(name).items()} == {
        name: str(pins[name][0].specifier) for name in asked(name) if name in pins
    }, "run `make lock`"


@PAIRS
def test_everything_is_pinned_with_hashes(name: str) -> None:
    """Every package has one version and its hashes, so that pip takes nothing else."""
    for package, (requirement, hashes) in locked(name).items():
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), package
        assert hashes, package


@PAIRS
def test_nothing_is_missing(name: str) -> None:
    """Whatever a pinned package needs here is pinned as well, in a version that it takes."""
    pins = locked(name)
    missing = set()
    waiting = [(requirement, "") for requirement in asked(name).values()]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        package = canonicalize_name(requirement.name)
        pinned = pins.get(package)
        if pinned is None or not requirement.specifier.contains(
            str(pinned[0].specifier).removeprefix("=="), prereleases=True
        ):
            missing.add(f"{requirement}: run `make lock`")
            continue
        for wanted in ("", *sorted(requirement.extras)):
            if (package, wanted) not in seen:
                seen.add((package, wanted))
                waiting += [(Requirement(text), wanted) for text in requires(package) or ()]

    assert set() == missing


@DEPLOYED
def test_the_tests_run_on_what_is_deployed(name: str) -> None:
    """The packages that are deployed are those that development has, installed here as well."""
    deployed, development = locked(name), locked("requirements-dev")

    assert {name: str(one.specifier) for name, (one, _) in deployed.items()} == {
        name: str(development[name][0].specifier) for name in deployed if name in development
    }
    assert {name: f"=={version(name)}" for name in deployed} == {
        name: str(one.specifier) for name, (one, _) in deployed.items()
    }


@DEPLOYED
def test_the_short_list_is_short_and_says_why(name: str) -> None:
    """Each package that is deployed is named with a comment that says what for."""
    lines = (ROOT / f"{name}.in").read_text().splitlines()

    assert [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if "==" in line and not before.startswith("# ")
    ] == []
