"""Addresses of a running stack: the file `endpoints.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = "local-project"
TASKS_ACCOUNT = f"tasks@{PROJECT}.iam.gserviceaccount.com"
"""Service account in the tokens of tasks."""
SCHEDULER_ACCOUNT = f"scheduler@{PROJECT}.iam.gserviceaccount.com"
"""Service account in the tokens of the scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sftp:
    """Login to the gateway."""

    host: str
    port: int
    user: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses of all parts: the content of `endpoints.json`."""

    project: str
    location: str
    bucket: str
    queue: str
    firestore: str
    """Value for `FIRESTORE_EMULATOR_HOST`."""
    storage: str
    """Value for `STORAGE_EMULATOR_HOST`."""
    tasks: str
    """Value for `CLOUD_TASKS_EMULATOR_HOST`."""
    sftp: Sftp
    functions: Mapping[str, str]
    """Function -> URL."""
    pid: int
    """Process that runs the stack."""

    def environment(self) -> dict[str, str]:
        """Return the variables that point the clients and the pipeline at this stack."""
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "FIRESTORE_EMULATOR_HOST": self.firestore,
            "STORAGE_EMULATOR_HOST": self.storage,
            "CLOUD_TASKS_EMULATOR_HOST": self.tasks,
            "LOCATION": self.location,
            "BUCKET": self.bucket,
            "QUEUE": self.queue,
            "LOAD_URL": self.functions["load"],
            "TASKS_SERVICE_ACCOUNT": TASKS_ACCOUNT,
            "SWEEP_URL": self.functions["sweep"],
            "STATUS_URL": self.functions["status"],
            "SCHEDULER_SERVICE_ACCOUNT": SCHEDULER_ACCOUNT,
            "SFTP_ADDRESS": f"{self.sftp.host}:{self.sftp.port}",
        }

    @classmethod
    def read(cls, file: Path) -> Endpoints:
        """Read a file that `write` has written.

        Raises:
            FileNotFoundError: there is no such file: no stack runs there.
        """
        content = json.loads(file.read_text())
        return cls(**{**content, "sftp": Sftp(**content["sftp"])})

    def write(self, file: Path) -> None:
        """Write the whole file or nothing. Only its owner may read it: it has a password."""
        write_private(file, json.dumps(asdict(self), indent=2) + "\n")


def write_private(file: Path, text: str) -> None:
    """Write a whole file that only its owner may read, or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as whole:
        whole.write(text)
    draft.replace(file)
