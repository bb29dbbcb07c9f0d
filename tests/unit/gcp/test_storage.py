"""The port to Cloud Storage: one translation of every fault of the client."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import ConnectionError as Unconnected
from urllib3.exceptions import ProtocolError

from shared.core.errors import TryAgain
from shared.gcp.storage import Changed, Gone, ObjectStream, bucket_of, encoded, move_object, reach


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


class Breaking(io.BytesIO):
    """The body of an answer that breaks after a number of bytes, which arrive before."""

    def __init__(self, data: bytes, arriving: int) -> None:
        super().__init__(data[:arriving])
        self.whole = len(data) <= arriving

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data and not self.whole:
            raise ProtocolError("x")
        return data


class Stored:
    """A client whose bucket has an object of ten bytes, and whose answers break."""

    api_endpoint = "https://storage.example.com"

    def __init__(self, *arriving: int, status: int = 206) -> None:
        self._http = self
        self._arriving = iter(arriving)
        self._status = status
        self.asked: list[str] = []

    def get(self, address: str, *, headers: dict[str, str], **_: Any) -> SimpleNamespace:
        self.asked.append(headers["Range"])
        first, last = map(int, headers["Range"].removeprefix("bytes=").split("-"))
        body = Breaking(b"0123456789"[first : last + 1], next(self._arriving))
        return SimpleNamespace(ok=True, status_code=self._status, raw=body, close=lambda: None)

    def stream(self) -> ObjectStream:
        blob: Any = SimpleNamespace(name="x", path="/b/u/o/x", generation=1, client=self)
        return ObjectStream(blob, start=2, end=9)


def test_a_stream_is_one_request() -> None:
    """The bytes come in one answer, and their checksum is known at the end."""
    client = Stored(9)
    stream = client.stream()

    assert [stream.read(4), stream.read(4), stream.read(4)] == [b"2345", b"678", b""]
    assert client.asked == ["bytes=2-8"]
    assert (stream.size, stream.crc32c) == (7, encoded(google_crc32c.value(b"2345678")))


def test_a_stream_that_breaks() -> None:
    """A stream continues at the byte where it broke, unless it breaks again at once."""
    client = Stored(3, 3, 0)
    stream = client.stream()

    assert [stream.read(3), stream.read(3)] == [b"234", b"567"]
    with pytest.raises(TryAgain):
        stream.read(3)
    assert client.asked == ["bytes=2-8", "bytes=5-8", "bytes=8-8"]
    assert (stream.size, stream.crc32c) == (6, encoded(google_crc32c.value(b"234567")))


def test_a_stream_that_breaks_inside_a_read() -> None:
    """A read returns all its bytes, even if several answers break inside it."""
    client = Stored(4, 1, 2)
    stream = client.stream()

    assert [stream.read(2), stream.read(5), stream.read(1)] == [b"23", b"45678", b""]
    assert client.asked == ["bytes=2-8", "bytes=6-8", "bytes=7-8"]
    assert (stream.size, stream.crc32c) == (7, encoded(google_crc32c.value(b"2345678")))


def test_an_answer_from_the_first_byte_on() -> None:
    """An answer that does not begin at the byte that was asked for is not read."""
    stream = Stored(10, status=200).stream()

    with pytest.raises(TryAgain):
        stream.read(3)
    assert stream.size == 0
