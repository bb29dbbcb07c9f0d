"""The local tasks server, a client of it and a handler, one of each per file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.emulators.tasks import Server, serve
from tests.conformance.tasks.helpers import Client, connected
from tests.support.receiver import Receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(data=tmp_path_factory.mktemp("tasks"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with connected(server.port) as client:
        yield client
