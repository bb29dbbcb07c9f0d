"""What a function has imported by the time it has answered: that is what a cold start costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.integration.conftest import Servers, Tasks
from tests.support.pipeline import BUCKET

ROOT = Path(__file__).resolve().parents[2]

FIRST_EVENT = """
import json, os, sys
import functions_framework

app = functions_framework.create_app("classify", "functions/classify.py", "cloudevent")
event = {
    "bucket": os.environ["BUCKET"], "name": sys.argv[1], "generation": "1", "size": "3",
    "crc32c": "AAAAAA==", "timeCreated": "2023-05-01T12:00:00Z",
}
attributes = {
    "ce-id": "1", "ce-specversion": "1.0", "ce-source": "//storage.googleapis.com/",
    "ce-type": "google.cloud.storage.object.v1.finalized",
}
answer = app.test_client().post("/", json=event, headers=attributes)
assert answer.status_code == 200, answer.data
print(json.dumps(sorted(name for name in sys.argv[2:] if name in sys.modules)))
"""

HEAVY = (
    *("google.cloud.firestore", "google.cloud.tasks_v2", "google.cloud.storage", "google.auth"),
    *(
        "grpc",
        "pandas",
        "numpy",
        "pydantic",
        "shared.files.cells.vectorized",
        "shared.parsing.csv.reader",
        "shared.loading.attempt",
    ),
    *("shared.firestore.bulk.writer", "shared.reporting.reports"),
)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("processed/customers_20230501T115500Z.csv", set()),
        ("pending/x.csv.filepart", set()),
        (
            "pending/orders_20230501T115500Z.csv",
            {"google.cloud.firestore", "google.cloud.storage", "google.cloud.tasks_v2"},
        ),
        (
            "pending/customers_20230501T115500Z.csv",
            {"google.cloud.firestore", "google.cloud.storage", "google.cloud.tasks_v2"},
        ),
        (
            "pending/Customers_20230501T115500Z.csv",
            {"google.cloud.firestore", "google.cloud.storage", "shared.reporting.reports"},
        ),
    ],
)
def test_first_event(servers: Servers, tasks: Tasks, name: str, needed: set[str]) -> None:
    """classify has imported, once its first event is answered, no more than that one takes.

    An event of no concern takes none of Google's libraries, an import Cloud Storage and Firestore,
    one with a task Cloud Tasks; none takes what reads and checks rows.
    """
    if needed:
        bucket = storage.Client(
            project="cold",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": servers.storage},
        ).bucket(BUCKET)
        bucket.blob(name).upload_from_string(b"PERIDX\n1\n")
    answered = subprocess.run(
        [sys.executable, "-c", FIRST_EVENT, name, *HEAVY],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1",
            "GOOGLE_CLOUD_PROJECT": tasks.project,
            "LOCATION": tasks.location,
            "QUEUE": "imports",
            "BUCKET": BUCKET,
            "LOAD_URL": "http://127.0.0.1:9/",
            "TASKS_SERVICE_ACCOUNT": "tasks@example.com",
            "FIRESTORE_EMULATOR_HOST": servers.firestore,
            "STORAGE_EMULATOR_HOST": servers.storage,
            "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
        },
        capture_output=True,
        text=True,
    )

    assert answered.returncode == 0, answered.stderr
    loaded = set(json.loads(answered.stdout.splitlines()[-1]))
    assert loaded == needed | ({"grpc", "google.auth"} if needed else set())


@pytest.mark.parametrize("name", ["classify", "load", "sweep", "status"])
def test_import(name: str) -> None:
    """No function imports what reads and checks rows before there is a file to be loaded."""
    rows = (
        "pandas",
        "numpy",
        "pydantic",
        "shared.files.cells.vectorized",
        "shared.parsing.csv.reader",
        "shared.loading.attempt",
    )
    script = f"import sys, functions.{name}; print([m for m in {rows} if m in sys.modules])"
    imported = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert imported.stdout.strip() == "[]"
