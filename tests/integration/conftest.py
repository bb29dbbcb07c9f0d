"""What the integration tests share: two servers, and one running stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google.cloud.storage as storage
import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from local.emulators.firestore import serve as serve_firestore
from local.emulators.storage import serve as serve_storage
from local.emulators.tasks import serve as serve_tasks
from tests.support.course import Course, run_course
from tests.support.pipeline import BUCKET, Pipeline
from tests.support.stack import Hands, Up, hands_on


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    """Run the whole pipeline, with orders that start 1 s after their customers, for all tests.

    Tests keep out of each other's way by using a connection of their own.
    """
    data: Path = tmp_path_factory.mktemp("stack")
    with Up(data, "--orders-delay", "1s") as up, hands_on(up.ready()) as hands:
        yield hands


@dataclass(frozen=True, slots=True)
class Servers:
    """Where a database and a bucket are, as the clients' variables take it."""

    firestore: str
    storage: str


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Run a database and an empty bucket, for tests that need no more of the pipeline."""
    data = tmp_path_factory.mktemp("servers")
    database = serve_firestore(data=data / "firestore")
    bucket = serve_storage(data=data / "storage", buckets=[BUCKET])
    yield Servers(f"127.0.0.1:{database.port}", f"http://127.0.0.1:{bucket.port}")
    bucket.stop()
    database.stop()


@dataclass(frozen=True, slots=True)
class Tasks:
    """A Cloud Tasks server with a queue that keeps its tasks."""

    client: tasks_v2.CloudTasksClient
    address: str
    """As `CLOUD_TASKS_EMULATOR_HOST` takes it."""
    project: str
    location: str
    queue: str
    """Full name."""


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasks]:
    """Run a Cloud Tasks server, for tests that look at tasks and do not want them done."""
    server = serve_tasks(data=tmp_path / "tasks")
    address, project, location = f"127.0.0.1:{server.port}", "test", "australia-southeast1"
    with grpc.insecure_channel(address) as channel:
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        name = client.queue_path(project, location, "imports")
        client.create_queue(
            parent=f"projects/{project}/locations/{location}", queue=tasks_v2.Queue(name=name)
        )
        client.pause_queue(name=name)
        yield Tasks(client, address, project, location, name)
    server.stop()


@pytest.fixture(scope="session")
def course(servers: Servers) -> Course:
    """Let everything happen, once for all tests about what the functions ask of Google Cloud."""
    return run_course(servers.firestore, servers.storage)


Make = Callable[..., Pipeline]


@pytest.fixture
def make(servers: Servers, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Build pipelines over a database of the test's own and an emptied bucket."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", servers.firestore)
    project = f"p-{abs(hash(request.node.nodeid)):x}"
    client = storage.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": servers.storage},
    )
    for blob in client.list_blobs(BUCKET):
        blob.delete()
    firestore_client = firestore.Client(project=project)
    return lambda **settings: Pipeline.over(firestore_client, client, **settings)


@pytest.fixture
def pipeline(make: Make) -> Pipeline:
    """Build a pipeline with the default settings."""
    return make()
