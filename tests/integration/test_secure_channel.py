"""Calls to Google's own Firestore use TLS and a token. Those of other tests go to emulators."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from shared.firestore.channel import SERVICE
from shared.firestore.messages import classes
from tests.support.mail import make_certificate
from tests.support.stack import ROOT
from tests.support.waiting import PATIENCE

READER = """
import sys
from google.cloud import firestore
from google.oauth2.credentials import Credentials
from shared.firestore.database import FirestoreDatabase

client = firestore.Client(
    project="acme", credentials=Credentials("secret"), client_options={"api_endpoint": sys.argv[1]}
)
print(FirestoreDatabase(client).documents(["ledger/a"]))
"""


def test_a_read(tmp_path: Path) -> None:
    """A read reaches the address of the client, under its certificate, with its credentials."""
    request, answer = classes("BatchGetDocuments")
    asked: list[dict[str, Any]] = []

    def read(given: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        asked.append(dict(context.invocation_metadata()))
        yield answer(missing=given.documents[0])

    method = grpc.unary_stream_rpc_method_handler(
        read, request_deserializer=request.FromString, response_serializer=answer.SerializeToString
    )
    certificate = make_certificate(tmp_path)
    text = certificate.read_bytes()
    server = grpc.server(ThreadPoolExecutor(2))
    service = SERVICE.strip("/")
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {"BatchGetDocuments": method})]
    )
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(text, text)]))
    server.start()

    # In a process of its own: gRPC reads the certificates that it trusts once.
    done = subprocess.run(
        [sys.executable, "-c", READER, f"localhost:{port}"],
        cwd=ROOT,
        env={"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    server.stop(None)

    assert (done.stdout, done.returncode) == ("{}\n", 0), done.stderr
    (metadata,) = asked
    assert metadata["authorization"] == "Bearer secret"
    assert metadata["google-cloud-resource-prefix"] == "projects/acme/databases/(default)"
