"""A real mail server with TLS, whose answers a test sets, and the mails of a pipeline."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.core import address_key
from tests.support.pipeline import Pipeline, customers_csv

ANN, BO = "ann@shop.example", "bo@shop.example"
NAME = "customers_20230501T115500Z"
SENDER = "Shop imports <imports@example.com>"
NO_KEY = "EMAIL,PRIVACY\r\na@example.com,Yes\r\n"
"""A customers file without its key."""
ONE_BAD = customers_csv({"PERIDX": "1"}, {"PERIDX": "x y", "EMAIL": "secret@example.com"})
"""A customers file with a row that cannot be loaded."""

USER, PASSWORD = "sender@example.com", "p@ss:word/1"
LOGIN = "sender%40example.com:p%40ss%3Aword%2F1"
"""User and password as a URL has them."""


@dataclass(slots=True)
class MailServer:
    """A mail server on this machine.

    taken: the envelopes with their messages. signed_in: user and password of each try. refuse:
    address -> answer to RCPT. answer: to a message. before_answer: called when a message has been
    taken, before it is answered.
    """

    scheme: Literal["smtp", "smtps"]
    port: int = 0
    taken: list[Envelope] = field(default_factory=list)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    answer: str = "250 Taken"
    before_answer: Any = None

    @property
    def url(self) -> str:
        """The server as `MAIL_URL` has it."""
        return f"{self.scheme}://{LOGIN}@localhost:{self.port}"

    @property
    def messages(self) -> list[EmailMessage]:
        """The messages that were taken, parsed."""
        parser = BytesParser(policy=default)
        found = [parser.parsebytes(one.original_content or b"") for one in self.taken]
        return [one for one in found if isinstance(one, EmailMessage)]

    @property
    def subjects(self) -> list[str]:
        """The subjects of what was taken."""
        return [str(one["Subject"]) for one in self.messages]

    def sign_in(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """Take a user and a password, and say whether they are right."""
        assert isinstance(data, LoginPassword)
        self.signed_in.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=self.signed_in[-1] == (USER, PASSWORD), handled=False)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer an address."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message."""
        if self.answer.startswith("250"):
            self.taken.append(envelope)
        if self.before_answer is not None:
            self.before_answer()
        return self.answer


@contextmanager
def mail_server(
    certificate: Path, scheme: Literal["smtp", "smtps"] = "smtps", *, offers_tls: bool = True
) -> Iterator[MailServer]:
    """Run a mail server; `offers_tls` False leaves out STARTTLS."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    served = MailServer(scheme)
    loop = asyncio.new_event_loop()

    def protocol() -> SMTP:
        # Not insecure: with smtps, the connection is encrypted before the protocol begins.
        warnings.simplefilter("ignore", UserWarning)
        return SMTP(
            served,
            hostname="mail.example.com",
            authenticator=served.sign_in,
            auth_required=True,
            auth_require_tls=scheme == "smtp" and offers_tls,
            tls_context=tls if scheme == "smtp" and offers_tls else None,
            loop=loop,
        )

    server = loop.run_until_complete(
        loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if scheme == "smtps" else None)
    )
    served.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def make_certificate(folder: Path, name: str = "localhost") -> Path:
    """Make a certificate for a host, in one file with its key; it vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


# -- the mails of a pipeline ----------------------------------------------------------------------


def notify(pipeline: Pipeline, **setting: Any) -> None:
    """Set who is mailed, and what about."""
    pipeline.database.document("connections/main").set({"notify": setting})


def told_before(pipeline: Pipeline, *addresses: str) -> None:
    """Let addresses of `main` know that they are mailed, so that no mail says it."""
    pipeline.database.document("mailboxes/main").set(
        {"welcomes": True, "welcomed": [address_key(one) for one in addresses]}
    )


def mails(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Read the outbox."""
    return {one.id: one.to_dict() or {} for one in pipeline.database.collection("mail").stream()}


def states(pipeline: Pipeline) -> list[str]:
    """Return the state of each mail."""
    return sorted(one["delivery"]["state"] for one in mails(pipeline).values())


def load(pipeline: Pipeline, name: str, content: str) -> list[str]:
    """Upload a file and load it."""
    pipeline.upload(f"{name}.csv", content)
    return pipeline.run_due()
