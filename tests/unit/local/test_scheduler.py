"""The sweep is called at its interval, by somebody who proves who it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google.auth.transport.requests
import pytest
from google.oauth2 import id_token

from local import identity
from local.scheduler import Scheduler, make_request
from tests.support.waiting import PATIENCE

EMAIL = "pipeline@local-project.iam.gserviceaccount.com"
NOW = datetime(2024, 11, 18, 19, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> identity.Key:
    return identity.load_key(tmp_path_factory.mktemp("identity"))


class Target:
    """An HTTP server that keeps what it is sent and answers with what it is told."""

    def __init__(self) -> None:
        self.answers = [200]
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.called = threading.Condition()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status = target.answers.pop(0) if len(target.answers) > 1 else target.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                with target.called:
                    target.calls.append((self.path, dict(self.headers.items())))
                    target.called.notify_all()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def wait_for_calls(self, number: int) -> bool:
        with self.called:
            return self.called.wait_for(lambda: len(self.calls) >= number, timeout=PATIENCE)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.stop()


def make_scheduler(url: str, key: identity.Key, said: list[str], *, every: float) -> Scheduler:
    return Scheduler(
        url=url,
        job="sweep",
        key=key,
        email=EMAIL,
        every=timedelta(seconds=every),
        say=said.append,
    )


def test_request(key: identity.Key) -> None:
    """A call is an empty POST with the headers of Cloud Scheduler."""
    request = make_request("http://127.0.0.1:1/", job="sweep", key=key, email=EMAIL, now=NOW)

    assert (request.get_method(), request.data) == ("POST", b"")
    assert request.get_header("User-agent") == "Google-Cloud-Scheduler"
    assert request.get_header("X-cloudscheduler") == "true"
    assert request.get_header("X-cloudscheduler-jobname") == "sweep"
    assert request.get_header("X-cloudscheduler-scheduletime") == "2024-11-18T19:00:00Z"


def test_token(key: identity.Key) -> None:
    """The token speaks for the service account and is meant for the URL that is called."""
    url = "http://127.0.0.1:1/"
    request = make_request(url, job="sweep", key=key, email=EMAIL, now=datetime.now(UTC))
    token = (request.get_header("Authorization") or "").removeprefix("Bearer ")
    certs = identity.CertsServer(key, host="127.0.0.1", port=0)
    try:
        claims = id_token.verify_token(
            token,
            google.auth.transport.requests.Request(),
            audience=url,
            certs_url=certs.url,
        )
    finally:
        certs.stop()

    assert (claims["email"], claims["email_verified"]) == (EMAIL, True)


def test_calls_come_at_the_interval_until_stopped(target: Target, key: identity.Key) -> None:
    """The target is called again and again, until a stop ends the thread that does it."""
    scheduler = make_scheduler(target.url, key, [], every=0.02)
    scheduler.start()
    assert target.wait_for_calls(3)

    scheduler.stop()
    scheduler.join()

    assert {path for path, _ in target.calls} == {"/"}


def test_a_failure_is_told_once(target: Target, key: identity.Key) -> None:
    """Failures in a row are told once, and again only after a call that went well."""
    target.answers = [503, 503, 200, 500, 200]
    said: list[str] = []
    scheduler = make_scheduler(target.url, key, said, every=0.01)
    scheduler.start()
    assert target.wait_for_calls(6)
    scheduler.stop()
    scheduler.join()

    assert said == [
        "The sweep job failed: it answered 503; it is tried again as scheduled.",
        "The sweep job failed: it answered 500; it is tried again as scheduled.",
    ]


def test_a_target_that_is_not_there(key: identity.Key) -> None:
    """A call that reaches nobody says so instead of raising."""
    scheduler = make_scheduler("http://127.0.0.1:1/", key, [], every=60)

    assert "it could not be reached" in (scheduler.call() or "")
