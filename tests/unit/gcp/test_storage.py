"""The port to Cloud Storage: one translation of every fault of the client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import ConnectionError as Unconnected

from shared.core.errors import TryAgain
from shared.gcp.storage import Changed, Gone, bucket_of, move_object, reach


def translated(error: Exception) -> TryAgain:
    """Return what comes of an error of the client."""
    with pytest.raises(TryAgain) as raised, reach("read state/x.index"):
        raise error
    return raised.value


def answer(status: int) -> Any:
    """Return the error with which a streamed upload ends after such an answer."""
    return InvalidResponse(SimpleNamespace(status_code=status))


Error: Any = exceptions  # its constructors are not typed


@pytest.mark.parametrize(
    "error",
    [
        Error.ServiceUnavailable("x"),
        Error.Forbidden("x"),
        Error.RetryError("x", cause=None),
        Unconnected("x"),
        DataCorruption(None, "x"),
        answer(503),
    ],
)
def test_a_fault_that_passes(error: Exception) -> None:
    """Whatever the client raises is tried again, and is told by its name and without its text."""
    told = translated(error)
    assert (type(told), str(told)) == (
        TryAgain,
        f"Cloud Storage could not read state/x.index: {type(error).__name__}",
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Error.NotFound("x"), Gone),
        (answer(404), Gone),
        (Error.PreconditionFailed("x"), Changed),
        (answer(412), Changed),
    ],
)
def test_an_object_that_is_another_one(error: Exception, kind: type[TryAgain]) -> None:
    """An object that is gone or has changed is known as such, in a streamed upload as well."""
    assert type(translated(error)) is kind


class Bucket:
    """A bucket that notes what is asked of it, and refuses to move objects."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal = refusal
        self.asked: list[str] = []

    def blob(self, name: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, delete=lambda: self.asked.append("delete"))

    def move_blob(self, *_: Any, **__: Any) -> None:
        self.asked.append("move")
        raise self.refusal

    def copy_blob(self, *_: Any, **__: Any) -> None:
        self.asked.append("copy")


def test_a_bucket_that_cannot_move() -> None:
    """If Cloud Storage refuses the move, the object is copied and deleted."""
    bucket: Any = Bucket(Error.MethodNotAllowed("x"))

    move_object(bucket, "a", 1, to="b", replacing=0)

    assert bucket.asked == ["move", "copy", "delete"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Error.NotFound("x"), Gone),
        (Error.PreconditionFailed("x"), Changed),
        (Error.TooManyRequests("x"), TryAgain),
        (Error.ServiceUnavailable("x"), TryAgain),
    ],
)
def test_a_move_that_fails(error: Exception, kind: type[TryAgain]) -> None:
    """A move whose conditions are not met, or that had no answer, copies nothing."""
    bucket: Any = Bucket(error)

    with pytest.raises(kind):
        move_object(bucket, "a", 1, to="b", replacing=0)

    assert bucket.asked == ["move"]


@pytest.mark.parametrize(
    ("environment", "looked", "verify"),
    [
        ({}, False, True),
        ({"NO_PROXY": "127.0.0.1"}, False, True),
        ({"HTTPS_PROXY": "http://proxy:3128"}, True, True),
        ({"REQUESTS_CA_BUNDLE": "/etc/ca.pem"}, False, "/etc/ca.pem"),
    ],
)
def test_proxies(
    environment: dict[str, str],
    looked: bool,
    verify: bool | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests heed the proxies and certificates that the environment names."""
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
    for name in (*proxies, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = SimpleNamespace(trust_env=True, verify=True)
    client: Any = SimpleNamespace(_http=session, bucket=lambda name: name)

    assert bucket_of(client, "uploads") == "uploads"
    assert (session.trust_env, session.verify) == (looked, verify)
