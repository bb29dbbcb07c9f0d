"""Users and host keys in Secret Manager: read, read again, and missed."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import asyncssh
import google_crc32c
import pytest
import requests

from gateway.host_key import read_host_key
from gateway.secret import FRESH_SECONDS, Secret, SecretError
from gateway.users import Users, UsersError, hash_password
from tests.support.gateway import CHEAP

NAME = "projects/shop/secrets/gateway-users"


def users(*names: str) -> bytes:
    """Write users who all have one password."""
    kept = hash_password("x", cost=CHEAP)
    rows = [{"name": name, "connection": "au", "password_hash": kept} for name in names]
    return json.dumps({"users": rows}).encode()


class SecretManager:
    """The one call of Secret Manager that is made, over HTTP."""

    def __init__(self) -> None:
        self.versions: list[bytes] = []
        self.asked: list[str] = []
        self.status = 200
        self.damaged = False
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                manager.asked.append(self.path)
                self.send_response(manager.status)
                self.end_headers()
                self.wfile.write(manager.answer())

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self) -> bytes:
        if self.status != 200:
            return b'{"error": {}}'
        content = self.versions[-1]
        crc = google_crc32c.value(content) + self.damaged
        payload = {"data": base64.b64encode(content).decode(), "dataCrc32c": str(crc)}
        name = f"projects/1/secrets/gateway-users/versions/{len(self.versions)}"
        return json.dumps({"name": name, "payload": payload}).encode()


@pytest.fixture
def manager() -> Iterator[SecretManager]:
    manager = SecretManager()
    yield manager
    manager.server.shutdown()
    manager.server.server_close()


def test_users(manager: SecretManager) -> None:
    """A new version counts within half a minute; a version that cannot be used changes nothing."""
    now = [0.0]
    told: list[str] = []
    manager.versions.append(users("ana"))
    secret = Secret(f"secret:{NAME}", session=requests, host=manager.host, now=lambda: now[0])
    kept = Users(secret, warn=told.append)

    manager.versions.append(users("ana", "bo"))
    assert kept.find("ana")
    assert kept.find("bo") is None
    now[0] += FRESH_SECONDS
    assert kept.find("bo")
    manager.versions.append(b'{"users": "nobody"}')
    now[0] += FRESH_SECONDS
    assert kept.find("bo")

    assert [f"secret {NAME}: users: must be a list of objects. The users are those of before."] == (
        told
    )
    assert [f"/v1/{NAME}/versions/latest:access"] * 3 == manager.asked


def test_out_of_reach(manager: SecretManager) -> None:
    """While Secret Manager is away, the users are those of before; it is not asked each time."""
    now = [0.0]
    manager.versions.append(users("ana"))
    secret = Secret(NAME, session=requests, host=manager.host, now=lambda: now[0])
    kept = Users(secret, warn=lambda text: None)
    manager.status = 503
    now[0] += FRESH_SECONDS

    assert kept.find("ana")
    assert kept.find("ana")
    assert len(manager.asked) == 2
    manager.status = 200
    manager.versions.append(users("bo"))
    now[0] += FRESH_SECONDS
    assert kept.find("ana") is None


@pytest.mark.parametrize(
    ("status", "damaged", "expected"),
    [(403, False, "answered 403"), (200, True, "damaged")],
)
def test_no_users(manager: SecretManager, status: int, damaged: bool, expected: str) -> None:
    """Without users at the start there is no gateway."""
    manager.versions.append(users("ana"))
    manager.status, manager.damaged = status, damaged

    with pytest.raises(UsersError, match=expected):
        Users(Secret(NAME, session=requests, host=manager.host), warn=lambda text: None)


def test_host_key(manager: SecretManager) -> None:
    """The host key comes from a secret as it is, so that no machine ever has another one."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    manager.versions.append(key.export_private_key())

    secret = Secret(NAME, session=requests, host=manager.host)
    found = read_host_key(secret.content(), where=secret)

    assert key.get_fingerprint() == found.get_fingerprint()
    with pytest.raises(ValueError, match=f"secret {NAME} is not a private key"):
        read_host_key(b"nonsense", where=secret)
    manager.status = 404
    with pytest.raises(SecretError, match="answered 404"):
        secret.content()
