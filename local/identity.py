"""Identity service of this machine: a key, the tokens it signs, and its certificates.

It replaces Google's identity service. A token minted here is what Cloud Tasks and Cloud Scheduler
send along. google-auth verifies it unchanged when it is given this certificates URL instead of
Google's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER = "https://accounts.google.com"
"""`iss` of every token, as in Google's tokens."""

LIFETIME = timedelta(hours=1)
"""Time for which a token is valid, as for Google's tokens."""

KEY_FILE = "identity.pem"
"""Name of the file that keeps the key, within the folder given to `load_key`."""


@dataclass(frozen=True, slots=True)
class Key:
    """A private key and the id by which a token names it."""

    private: rsa.RSAPrivateKey
    id: str
    """`kid` in the header of a token: 40 hexadecimal digits that follow from the key."""


def load_key(directory: Path) -> Key:
    """Read the key kept in `directory`, or make one there that only its owner can read.

    Processes that start at the same moment get the same key.

    Raises:
        ValueError: the file is there but holds no RSA private key.
    """
    file = directory / KEY_FILE
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _keep_new_key(file)
    private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError(f"{file} holds no RSA private key; remove it to have one made.")
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(private, hashlib.sha256(public).hexdigest()[:40])


def _keep_new_key(file: Path) -> None:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # mkstemp makes the file 0600, and a link never replaces: the first process wins.
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as whole:
            whole.write(pem)
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        os.unlink(name)


def mint(*, key: Key, audience: str, email: str, now: datetime) -> str:
    """Sign an OpenID Connect token that says the service account `email` calls `audience`.

    The claims are those of a token that Google mints for a service account: `iss`, `aud`, `azp`,
    `sub`, `email`, `email_verified`, `iat` and, an hour later, `exp`.
    """
    account = _account_number(email)
    issued = int(now.timestamp())
    header = {"alg": "RS256", "kid": key.id, "typ": "JWT"}
    claims = {
        "aud": audience,
        "azp": account,
        "email": email,
        "email_verified": True,
        "exp": issued + int(LIFETIME.total_seconds()),
        "iat": issued,
        "iss": ISSUER,
        "sub": account,
    }
    signed = b".".join(_segment(json.dumps(part).encode()) for part in (header, claims))
    signature = key.private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return b".".join((signed, _segment(signature))).decode()


def _account_number(email: str) -> str:
    """Return the id of a service account: 21 digits as Google's, always the same for an e-mail."""
    digest = hashlib.sha256(email.encode()).digest()
    return f"1{int.from_bytes(digest, 'big') % 10**20:020d}"


def _segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def certs(key: Key) -> dict[str, str]:
    """Give the certificate of a key: key id to PEM, the shape of Google's `oauth2/v1/certs`.

    The certificate is signed by the key itself and always the same for a key.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local identity")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private.public_key())
        .serial_number(int(key.id, 16) >> 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .sign(key.private, hashes.SHA256())
    )
    return {key.id: certificate.public_bytes(serialization.Encoding.PEM).decode()}


class CertsServer:
    """Serves `GET /certs` over HTTP from a thread of its own until `stop` is called."""

    def __init__(self, key: Key, *, host: str, port: int) -> None:
        """Start to serve; port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        self._server = _Server((host, port), _handler(json.dumps(certs(key), indent=1).encode()))
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/certs"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and release the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that keeps its connection open does not hold up `stop`.
    block_on_close = False


def _handler(body: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A client that stops sending frees its thread.
        timeout = 30

        def do_GET(self) -> None:
            found = self.path == "/certs"
            answer = body if found else b'{"error": "only /certs is served here"}'
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(answer)))
            if found:
                self.send_header("Cache-Control", "public, max-age=3600")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: functions request the certificates at every call."""

    return Handler
