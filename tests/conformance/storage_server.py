"""The local storage server that the conformance suite runs against, and ways to speak to it.

A pytest plugin: `pytest_plugins = ["tests.conformance.storage_server"]`. It asserts nothing, so
PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials

from local.emulators.storage import serve
from tests.support.waiting import PATIENCE

_numbers = itertools.count(1)


def connect(port: int) -> Any:
    """The unmodified client, led to the server as everywhere in this project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return storage.Client(project="local-project", credentials=nobody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server has answered to a raw request; headers have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass(frozen=True, slots=True)
class Raw:
    """Speaks HTTP to the server, for what the client does not do."""

    port: int

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        /,
        **query: object,
    ) -> Answer:
        """Send one request; a body of several pieces goes chunked."""
        target = path + ("?" + urlencode(query) if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, target, body, dict(headers or {}), encode_chunked=chunked)
            response = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in response.getheaders():
                before = found.get(name.lower())
                found[name.lower()] = value if before is None else f"{before},{value}"
            return Answer(status=response.status, headers=found, body=response.read())
        finally:
            connection.close()

    def begin(self, bucket: str, name: str, **headers: str) -> str:
        """Begin a resumable upload; returns where its bytes go, without the address."""
        answer = self.send(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o",
            None,
            {key.replace("_", "-"): value for key, value in headers.items()},
            uploadType="resumable",
            name=name,
        )
        return answer.headers["location"].partition(f":{self.port}")[2]


def object_path(bucket: str, name: str) -> str:
    """Return the address of an object in the JSON API."""
    return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server for the session, without events; gives its port."""
    server = serve(data=tmp_path_factory.mktemp("conformance-storage"), buckets=[])
    yield server.port
    server.stop()


@pytest.fixture(scope="session")
def client(port: int) -> Iterator[Any]:
    """The unmodified client of the server."""
    client = connect(port)
    yield client
    client.close()


@pytest.fixture
def bucket(client: Any) -> Any:
    """A bucket of the test's own."""
    return client.create_bucket(f"bucket-{next(_numbers)}")


@pytest.fixture(scope="session")
def raw(port: int) -> Raw:
    """HTTP to the server, without the client."""
    return Raw(port)
