"""How Google's emulator is found and run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import requests

from local import google_emulator
from local.google_emulator import Found, Missing
from tests.support.waiting import PATIENCE

NOWHERE = "/nonexistent"


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def java(folder: Path, version: str) -> Path:
    return executable(folder / "java", f"echo 'openjdk version \"{version}\"' >&2")


def test_cli_on_the_path(tmp_path: Path) -> None:
    """The emulator of the Google Cloud CLI is found through a link on the PATH."""
    sdk = tmp_path / "sdk"
    executable(sdk / "bin" / "gcloud", "true")
    jar = file(sdk / "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gcloud").symlink_to(sdk / "bin" / "gcloud")
    own = java(tmp_path / "bin", "17.0.15")

    assert Found(jar=jar, java=own) == google_emulator.find(
        path=str(tmp_path / "bin"), home=tmp_path
    )


def test_firebase_cache(tmp_path: Path) -> None:
    """Of the Firebase CLI's emulators the latest version is taken, by number."""
    cache = tmp_path / ".cache" / "firebase" / "emulators"
    file(cache / "cloud-firestore-emulator-v1.9.8.jar")
    latest = file(cache / "cloud-firestore-emulator-v1.19.8.jar")

    assert latest in list(google_emulator._jars(NOWHERE, tmp_path))
    assert [latest.name, "cloud-firestore-emulator-v1.9.8.jar"] == [
        jar.name for jar in google_emulator._jars(NOWHERE, tmp_path) if jar.parent == cache
    ]


@pytest.mark.parametrize(
    ("version", "taken"), [("1.8.0_392", False), ("11.0.2", True), ("25", True)]
)
def test_java_versions(tmp_path: Path, version: str, taken: bool) -> None:
    """A Java on the PATH is taken if it is new enough."""
    own = java(tmp_path, version)

    assert taken == (own in list(google_emulator._javas(str(tmp_path))))


def test_missing_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no emulator, one screen says what to install."""
    monkeypatch.setattr(google_emulator, "_jars", lambda _path, _home: iter(()))

    missing = google_emulator.find(path=NOWHERE, home=tmp_path)

    assert isinstance(missing, Missing)
    assert "not installed" in missing.reason
    assert "gcloud components install cloud-firestore-emulator" in missing.explanation
    assert len(missing.explanation.splitlines()) <= 24


def test_failed_start_tells_why(tmp_path: Path) -> None:
    """An emulator that ends at once is reported with what it said."""
    found = Found(
        jar=file(tmp_path / "emulator.jar"),
        java=executable(tmp_path / "java", "echo no such class; exit 1"),
    )

    with pytest.raises(google_emulator.NotStarted, match="no such class"):
        google_emulator.start(found)


@pytest.mark.google_emulator
def test_rules_are_enforced_and_the_process_ends(tmp_path: Path) -> None:
    """A started emulator applies the rules it is given, and nothing of it is left afterwards."""
    found = google_emulator.find()
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    rules = tmp_path / "firestore.rules"
    rules.write_text(
        "rules_version = '2'; service cloud.firestore { match /databases/{d}/documents "
        "{ match /{document=**} { allow read, write: if false; } } }"
    )

    with google_emulator.start(found, rules=rules) as emulator:
        document = "v1/projects/p/databases/(default)/documents/a/b"
        refused = requests.get(f"http://{emulator.address}/{document}", timeout=PATIENCE)
    emulator.stop()

    assert refused.status_code == 403
    with pytest.raises(ProcessLookupError):
        os.killpg(emulator.pid, 0)
