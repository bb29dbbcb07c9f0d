"""The resumable upload protocol, against a bucket that misbehaves on purpose."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import google_crc32c
import pytest
import requests

from gateway.bucket import BucketError, Changed, SessionLost, Unreachable, _Resumable

KIB = 1024
CHUNK = 256 * KIB


class Wire:
    """A session on the server's side: keeps what arrives, and fails as it is told to."""

    def __init__(self, *faults: Any) -> None:
        self.faults = list(faults)
        """For each request in turn: None to answer, a status, an exception, or ("take", n, fault)
        to keep the first n bytes of the request and then fail."""
        self.data = b""
        self.finished = False
        self.requests: list[str] = []
        self.deleted = 0

    def put(self, url: str, *, data: bytes, headers: dict[str, str], **_: Any) -> Any:
        """Take a request of the client."""
        assert url == "http://bucket/session"
        self.requests.append(headers["Content-Range"])
        fault = self.faults.pop(0) if self.faults else None
        match fault:
            case ("take", taken, then):
                self._keep(headers["Content-Range"], data[:taken])
                fault = then
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, int):
            return _response(fault)
        self._keep(headers["Content-Range"], data)
        total = headers["Content-Range"].rpartition("/")[2]
        if total != "*" and len(self.data) == int(total):
            self.finished = True
        if self.finished:
            return _response(200, size=len(self.data), generation=7, crc32c=_crc32c(self.data))
        return _response(308, arrived=len(self.data))

    def delete(self, url: str, **_: Any) -> Any:
        """Cancel the session."""
        self.deleted += 1
        return _response(499)

    def _keep(self, content_range: str, data: bytes) -> None:
        if match := re.match(r"bytes (\d+)-", content_range):
            assert int(match[1]) == len(self.data), "bytes sent twice, or out of order"
            self.data += data


def _crc32c(data: bytes) -> str:
    checksum: Any = google_crc32c.Checksum
    return base64.b64encode(checksum(data).digest()).decode()


def _response(status: int, *, arrived: int = 0, **resource: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(resource).encode()
    if arrived:
        response.headers["Range"] = f"bytes=0-{arrived - 1}"
    return response


def sending(wire: Wire, *, patience: float = 20.0) -> _Resumable:
    """Open a session on a wire."""
    bucket: Any = None
    return _Resumable(
        http=wire, url="http://bucket/session", name="x", patience=patience, bucket=bucket
    )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: self.is_set())


A, B = b"a" * CHUNK, b"b" * CHUNK


@pytest.mark.parametrize(
    ("chunks", "last", "expected"),
    [
        ([], b"", ["bytes */0"]),
        ([], b"abc", ["bytes 0-2/3"]),
        ([A], b"abc", ["bytes 0-262143/*", "bytes 262144-262146/262147"]),
        ([A], b"", ["bytes 0-262143/*", "bytes */262144"]),
    ],
)
def test_ranges(chunks: list[bytes], last: bytes, expected: list[str]) -> None:
    """Each request says which bytes it carries, and the last one how many there are."""
    wire = Wire()
    one = sending(wire)
    for chunk in chunks:
        one.send(chunk)
    entry = one.finish(last)

    assert wire.requests == expected
    assert wire.data == b"".join(chunks) + last
    assert (entry.size, entry.generation) == (len(wire.data), 7)


@pytest.mark.parametrize(
    "faults",
    [
        (503,),
        (429, 500, 502),
        (requests.ConnectionError(), requests.Timeout()),
        (("take", CHUNK, 503),),
        (("take", CHUNK, requests.ConnectionError()), 503),
        (("take", 1000, 503), None, 503),
        (None, ("take", 3, requests.Timeout())),
        (None, 503, 503),
    ],
)
def test_recovers(faults: tuple[Any, ...]) -> None:
    """After any failure the bucket is asked what it has, and gets the rest exactly once."""
    wire = Wire(*faults)
    one = sending(wire)
    one.send(A)
    entry = one.finish(b"last")

    assert wire.data == A + b"last"
    assert entry.size == len(A) + 4


def test_partly_kept() -> None:
    """A bucket may keep only part of a chunk; the rest is sent again."""
    wire = Wire(("take", CHUNK // 2, 503))
    one = sending(wire)
    one.send(A)
    one.send(B)
    one.finish(b"")

    assert wire.data == A + B


def test_finished_unheard() -> None:
    """An upload whose last answer got lost is found to be finished, not sent a second time."""

    class Deaf(Wire):
        def put(self, url: str, *, data: bytes, headers: dict[str, str], **how: Any) -> Any:
            response = super().put(url, data=data, headers=headers, **how)
            if self.finished and len(self.requests) == 1:
                raise requests.ConnectionError
            return response

    wire = Deaf()
    entry = sending(wire).finish(b"abc")

    assert (wire.data, entry.generation) == (b"abc", 7)
    assert wire.requests == ["bytes 0-2/3", "bytes */*"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, SessionLost),
        (410, SessionLost),
        (412, Changed),
        (400, BucketError),
        (403, BucketError),
    ],
)
def test_refused(status: int, expected: type[BucketError]) -> None:
    """What trying again cannot mend is not tried again."""
    wire = Wire(status)

    with pytest.raises(expected):
        sending(wire).finish(b"abc")
    assert len(wire.requests) == 1


def test_gives_up() -> None:
    """A bucket that stays away is given up after a time."""
    wire = Wire(*[503] * 100)

    with pytest.raises(Unreachable, match="503"):
        sending(wire, patience=0.1).finish(b"abc")


def test_cancelled() -> None:
    """Cancelling ends the patience of a call under way, and the session."""
    wire = Wire(*[503] * 100)
    one = sending(wire, patience=1000.0)
    one.cancel()

    with pytest.raises(Unreachable):
        one.send(A)
    assert (len(wire.requests), wire.deleted) == (1, 1)


def test_lost_bytes() -> None:
    """A bucket that has fewer bytes than it said before has lost the upload."""
    wire = Wire()
    one = sending(wire)
    one.send(A)
    wire.data = b"a" * 10
    wire.faults = [503]

    with pytest.raises(SessionLost):
        one.send(B)


def test_damaged() -> None:
    """A file that the bucket holds with another checksum is removed again, and refused."""

    class Liar(Wire):
        def put(self, url: str, *, data: bytes, headers: dict[str, str], **how: Any) -> Any:
            assert headers["x-goog-hash"] == f"crc32c={_crc32c(b'abc')}"
            return super().put(url, data=b"abX", headers=headers, **how)

    class Remover:
        def __init__(self) -> None:
            self.removed: list[tuple[str, int]] = []

        def delete(self, name: str, generation: int) -> None:
            self.removed.append((name, generation))

    bucket: Any = Remover()
    one = _Resumable(
        http=Liar(), url="http://bucket/session", name="x", patience=1.0, bucket=bucket
    )

    with pytest.raises(BucketError, match="damaged"):
        one.finish(b"abc")
    assert bucket.removed == [("x", 7)]
