"""A bucket, and a gateway before it: one for a file of tests, or a program for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from google.cloud import storage

from gateway.bucket import CloudBucket
from local.emulators.storage import serve
from tests.integration.gateway.helpers import BUCKET, House, Program, house_of, until, write_users
from tests.support.gateway import Running
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module", name="cloud")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = serve(port=0, data=tmp_path_factory.mktemp("gcs"), buckets=[BUCKET], events=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.port}")
        yield server
    server.stop()


@pytest.fixture(scope="module", name="door")
def _door(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Running]]:
    folder = tmp_path_factory.mktemp("gateway")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)  # or OpenSSH does not touch it
    write_users(folder, key)
    running = Running(
        bucket=CloudBucket(storage.Client(), BUCKET, patience=1.0), users=folder / "users.json"
    )
    yield house_of(folder, running), running
    running.stop()


@pytest.fixture(name="house")
def _house(door: tuple[House, Running]) -> House:
    door[0].clear()
    return door[0]


@pytest.fixture(name="program")
def _program(cloud: Any, tmp_path: Path) -> Iterator[Program]:
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    (tmp_path / "spool").mkdir()
    program = Program(tmp_path, "--bucket", BUCKET, "--spool", str(tmp_path / "spool"))
    try:
        until(lambda: program.lines("listening"))
        yield program
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)
