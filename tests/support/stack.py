"""A stack that runs for tests, and the hands that tests need on it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.cloud.storage as storage
import paramiko
from google.cloud import firestore

from local.endpoints import Endpoints
from shared.ledger.imports import Import
from tests.support.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]


class Up:
    """`python -m local up` as a process of its own."""

    def __init__(self, data: Path, *arguments: str, environment: Mapping[str, str] | None = None):
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        self.output_file = data / "up.out"
        with self.output_file.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local", "up", "--data", str(data), *arguments],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def output(self) -> str:
        """What it has written to the terminal so far."""
        return self.output_file.read_text()

    def ready(self) -> Endpoints:
        """Wait until it is up and return its endpoints."""
        file = self.data / "endpoints.json"

        def ready() -> bool:
            # One that was killed has left its file behind.
            with contextlib.suppress(FileNotFoundError):
                return read_endpoints(file).pid == self.process.pid
            return self.process.poll() is not None

        in_time = eventually(ready, seconds=PATIENCE)
        assert in_time, f"not up in {PATIENCE:g} s: {self.output}"
        assert self.process.poll() is None, self.output
        return read_endpoints(file)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def run(*command: str | Path, typed: str = "") -> str:
    """Run a command of the project, which reads `typed`, and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_endpoints(file: Path) -> Endpoints:
    """Read an `endpoints.json`."""
    return Endpoints.read(file)


@dataclass(frozen=True, slots=True)
class Hands:
    """Clients for a running stack: the unmodified ones, as people use them."""

    endpoints: Endpoints
    firestore: firestore.Client
    bucket: storage.Bucket

    @contextlib.contextmanager
    def sftp(self) -> Iterator[paramiko.SFTPClient]:
        """Log in to the gateway as the stack's own user."""
        sftp = self.endpoints.sftp
        with paramiko.Transport((sftp.host, sftp.port)) as transport:
            transport.connect(username=sftp.user, password=sftp.password)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            with client:
                yield client

    def upload(self, name: str, content: bytes) -> None:
        """Upload a file over SFTP."""
        with self.sftp() as sftp:
            sftp.putfo(io.BytesIO(content), name, len(content), confirm=False)

    def import_(self, connection: str, import_id: str) -> Import | None:
        """Return an import as the ledger has it now; None while it has none."""
        path = f"connections/{connection}/imports/{import_id}"
        data = self.firestore.document(path).get().to_dict()
        if data is None:
            return None
        return Import.from_document(connection=connection, import_id=import_id, data=data)

    def wait_for(
        self, connection: str, import_id: str, *statuses: str, seconds: float = PATIENCE
    ) -> Import:
        """Wait until an import has one of these statuses."""
        found: list[Import | None] = [None]

        def reached() -> bool:
            found[0] = self.import_(connection, import_id)
            return found[0] is not None and found[0].status in statuses

        reached_in_time = eventually(reached, seconds=seconds)
        last = found[0]
        assert last is not None, f"{import_id} is not in the ledger"
        assert reached_in_time, f"{import_id} is {last.status}: {last.status_text}"
        return last

    def count(self, path: str) -> int:
        """Return how many documents a collection holds."""
        collection: Any = self.firestore.collection(path)
        return int(collection.count().get()[0][0].value)

    def ids(self, path: str) -> set[str]:
        """Return the ids of the documents of a collection."""
        none: list[str] = []
        return {snapshot.id for snapshot in self.firestore.collection(path).select(none).stream()}

    def documents(self, path: str) -> dict[str, dict[str, Any]]:
        """Return every document of a collection by its id."""
        return {
            snapshot.id: snapshot.to_dict() or {}
            for snapshot in self.firestore.collection(path).stream()
        }


@contextlib.contextmanager
def hands_on(endpoints: Endpoints) -> Iterator[Hands]:
    """Make the clients for a stack; this process's environment is as before afterwards."""
    environment = endpoints.environment()
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        database: Any = firestore.Client(project=endpoints.project)
        bucket = storage.Client(project=endpoints.project).bucket(endpoints.bucket)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    yield Hands(endpoints, database, bucket)
    database.close()
