"""The Firestore servers that the conformance suite runs against, and clients for them.

A pytest plugin: `pytest_plugins = ["tests.conformance.firestore_servers"]`. It asserts nothing, so
PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from local import google_emulator
from local.emulators.firestore import serve

EMBEDDED = "embedded"
GOOGLE = "google"


@pytest.fixture(scope="session")
def embedded_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded server, one for the session."""
    with serve(data=tmp_path_factory.mktemp("firestore")) as server:
        yield server.address


@pytest.fixture(scope="session")
def google_address() -> Iterator[str]:
    """Google's emulator, one for the session; skips where none is installed."""
    found = google_emulator.find()
    if isinstance(found, google_emulator.Missing):
        pytest.skip(found.reason)
    with google_emulator.start(found) as emulator:
        yield emulator.address


@pytest.fixture(
    params=[EMBEDDED, pytest.param(GOOGLE, marks=pytest.mark.google_emulator)],
)
def server(request: pytest.FixtureRequest) -> str:
    """Which server a test runs against: each test runs against both."""
    return str(request.param)


@pytest.fixture
def address(server: str, request: pytest.FixtureRequest) -> str:
    """Host and port of the server."""
    return str(request.getfixturevalue(f"{server}_address"))


@pytest.fixture
def project() -> str:
    """A project of the test's own, so that no test sees what another has written."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def db(address: str, project: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The unmodified synchronous client, in an empty database."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
    client = connect(project)
    yield client
    client.close()


def connect(project: str, *, database: str | None = None) -> Any:
    """A synchronous client; FIRESTORE_EMULATOR_HOST says of which server."""
    return firestore.Client(project=project, database=database, credentials=_nobody())


def connect_async(project: str) -> Any:
    """An asynchronous client; it belongs to the event loop that first uses it."""
    return firestore.AsyncClient(project=project, credentials=_nobody())


def _nobody() -> Any:
    return AnonymousCredentials()  # type: ignore[no-untyped-call]
