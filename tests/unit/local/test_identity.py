"""Tokens of the local identity, as google-auth sees them."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from local.identity import KEY_FILE, CertsServer, Key, certs, load_key, mint
from tests.support.waiting import PATIENCE

AUDIENCE = "https://load.example.test/"
EMAIL = "tasks@local-project.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return load_key(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def server(key: Key) -> Iterator[CertsServer]:
    server = CertsServer(key, host="127.0.0.1", port=0)
    yield server
    server.stop()


def _mint(key: Key, *, ago: timedelta = timedelta()) -> str:
    return mint(key=key, audience=AUDIENCE, email=EMAIL, now=datetime.now(UTC) - ago)


def _verify(token: str, server: CertsServer, *, audience: str = AUDIENCE) -> dict[str, Any]:
    return dict(id_token.verify_token(token, Request(), audience=audience, certs_url=server.url))


def test_token_verifies(key: Key, server: CertsServer) -> None:
    """google-auth accepts a token of ours when told our certificates URL."""
    now = datetime.now(UTC)
    claims = _verify(mint(key=key, audience=AUDIENCE, email=EMAIL, now=now), server)

    assert claims == {
        "aud": AUDIENCE,
        "azp": claims["sub"],
        "email": EMAIL,
        "email_verified": True,
        "exp": int(now.timestamp()) + 3600,
        "iat": int(now.timestamp()),
        "iss": "https://accounts.google.com",
        "sub": claims["sub"],
    }
    assert len(claims["sub"]) == 21
    assert claims["sub"].isdigit()


def test_account_number_follows_from_the_email(key: Key, server: CertsServer) -> None:
    """The same service account has the same subject in every token, another one another."""
    now = datetime.now(UTC)
    subjects = [
        _verify(mint(key=key, audience=AUDIENCE, email=email, now=now), server)["sub"]
        for email in (EMAIL, EMAIL, "other@local-project.iam.gserviceaccount.com")
    ]

    assert subjects[0] == subjects[1]
    assert subjects[0] != subjects[2]


def test_expired_token_is_refused(key: Key, server: CertsServer) -> None:
    """A token is good for an hour and no longer."""
    assert _verify(_mint(key, ago=timedelta(minutes=59)), server)
    with pytest.raises(exceptions.InvalidValue, match="expired"):
        _verify(_mint(key, ago=timedelta(minutes=61)), server)


def test_token_of_another_audience_is_refused(key: Key, server: CertsServer) -> None:
    """A token for one function does not open another."""
    with pytest.raises(exceptions.InvalidValue, match="audience"):
        _verify(_mint(key), server, audience="https://sweep.example.test/")


def test_foreign_token_is_refused(server: CertsServer, tmp_path: Path) -> None:
    """A token signed by a key that is not ours is refused for its unknown key id."""
    with pytest.raises(exceptions.MalformedError, match="not found"):
        _verify(_mint(load_key(tmp_path)), server)


def test_foreign_token_with_our_key_id_is_refused(
    key: Key, server: CertsServer, tmp_path: Path
) -> None:
    """A token that only claims our key id fails on its signature."""
    forger = Key(load_key(tmp_path).private, key.id)

    with pytest.raises(exceptions.MalformedError, match="signature"):
        _verify(_mint(forger), server)


def test_changed_token_is_refused(key: Key, server: CertsServer) -> None:
    """Claims changed after the signing are noticed."""
    other = mint(key=key, audience=AUDIENCE, email="root@evil.test", now=datetime.now(UTC))
    header, _, signature = _mint(key).split(".")

    with pytest.raises(exceptions.MalformedError, match="signature"):
        _verify(".".join((header, other.split(".")[1], signature)), server)


def test_key_is_kept(tmp_path: Path) -> None:
    """A key is made once, readable by its owner alone, and is the same ever after."""
    made, read = load_key(tmp_path / "new"), load_key(tmp_path / "new")

    assert made.id == read.id
    assert made.private.private_numbers() == read.private.private_numbers()
    assert [file.name for file in (tmp_path / "new").iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((tmp_path / "new" / KEY_FILE).stat().st_mode) == 0o600


def test_key_is_made_once_by_all_who_ask(tmp_path: Path) -> None:
    """Four that ask for the key at the same moment all get the same."""
    gate = threading.Barrier(4)
    ids: list[str] = []

    def ask() -> None:
        gate.wait()
        ids.append(load_key(tmp_path).id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 4
    assert len(set(ids)) == 1


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A file with anything but an RSA key is named in the error, with what to do."""
    (tmp_path / KEY_FILE).write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

    with pytest.raises(ValueError, match=rf"{KEY_FILE} holds no RSA private key; remove it"):
        load_key(tmp_path)


def test_certificate_is_that_of_the_key(key: Key) -> None:
    """The certificate carries the public key under its id and is always the same."""
    ((key_id, pem),) = certs(key).items()
    certificate = x509.load_pem_x509_certificate(pem.encode())

    assert key_id == key.id
    assert certificate.public_key() == key.private.public_key()
    assert certs(key) == {key_id: pem}


def test_certificates_are_served(key: Key, server: CertsServer) -> None:
    """`/certs` answers with the certificates as cacheable JSON, any other path with 404."""
    found = requests.get(server.url, timeout=PATIENCE)
    missing = requests.get(f"http://127.0.0.1:{server.port}/", timeout=PATIENCE)

    assert found.json() == certs(key)
    assert found.headers["Content-Type"].startswith("application/json")
    assert "max-age" in found.headers["Cache-Control"]
    assert missing.status_code == 404


def test_stopped_server_lets_its_port_go(key: Key) -> None:
    """A stopped server leaves its port to the next, even with a client still connected."""
    first = CertsServer(key, host="127.0.0.1", port=0)
    with requests.Session() as session:
        session.get(first.url, timeout=PATIENCE)
        first.stop()
        second = CertsServer(key, host="127.0.0.1", port=first.port)
        second.stop()

    assert second.port == first.port
