"""The local storage server as a program: word of new objects, and what outlives a kill."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from google.api_core import exceptions

from local.emulators.storage import InUse, serve
from tests.conformance.storage_server import Raw, connect
from tests.support.receiver import SOON, Call, Handler, Receiver
from tests.support.waiting import PATIENCE

Bucket = Any
"""The client has no types of its own."""

BUCKET = "shop"
QUANTUM = 256 * 1024


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@contextlib.contextmanager
def told(data: Path, handler: Handler) -> Iterator[Bucket]:
    """Run a server that tells a handler of new objects; gives its bucket."""
    server = serve(data=data, buckets=[BUCKET], events=handler.url)
    client = connect(server.port)
    try:
        yield client.bucket(BUCKET)
    finally:
        client.close()
        server.stop()


def resources(calls: list[Call]) -> list[dict[str, Any]]:
    """Return the objects that events tell of, as they were made."""
    found = [json.loads(call.body) for call in calls]
    return sorted(found, key=lambda resource: int(resource["generation"]))


# -- events -----------------------------------------------------------------------------------


def test_event(receiver: Receiver, tmp_path: Path) -> None:
    """A new object is told of as a CloudEvent, with the object's whole description as its data."""
    handler = receiver.handler()
    with told(tmp_path, handler) as bucket:
        blob = bucket.blob("pending/au/customers_20230424T201230Z.csv")
        blob.metadata = {"a": "1"}
        blob.upload_from_string(b"hello", content_type="text/csv")
        (call,) = handler.wait(1)
    attributes = {
        name.lower().removeprefix("ce-"): value
        for name, value in call.headers.items()
        if name.lower().startswith("ce-")
    }
    event = json.loads(call.body)

    assert call.method == "POST"
    assert {name.lower(): value for name, value in call.headers.items()}["content-type"] == (
        "application/json"
    )
    assert attributes.pop("id")
    assert attributes == {
        "specversion": "1.0",
        "type": "google.cloud.storage.object.v1.finalized",
        "source": f"//storage.googleapis.com/projects/_/buckets/{BUCKET}",
        "subject": f"objects/{blob.name}",
        "time": event["timeCreated"],
    }
    assert {key: event[key] for key in ("bucket", "name", "size", "contentType", "metadata")} == {
        "bucket": BUCKET,
        "name": blob.name,
        "size": "5",
        "contentType": "text/csv",
        "metadata": {"a": "1"},
    }
    assert (event["generation"], event["metageneration"]) == (str(blob.generation), "1")
    assert (event["crc32c"], event["md5Hash"]) == (blob.crc32c, blob.md5_hash)


def test_one_event_a_generation(receiver: Receiver, tmp_path: Path) -> None:
    """Whatever makes an object is told of once; what changes or deletes one is not."""
    handler = receiver.handler()
    with told(tmp_path, handler) as bucket:
        first = bucket.blob("multipart")
        first.upload_from_string(b"1")
        bucket.blob("resumable", chunk_size=QUANTUM).upload_from_file(io.BytesIO(b"2"))
        with bucket.blob("streamed").open("wb") as file:
            file.write(b"3")
        bucket.copy_blob(first, bucket, "copied")
        bucket.blob("rewritten").rewrite(first)
        bucket.blob("composed").compose([first, first])
        moved = bucket.move_blob(bucket.blob("copied"), "moved")
        first.metadata = {"a": "1"}
        first.patch()
        bucket.blob("rewritten").delete()
        with pytest.raises(exceptions.PreconditionFailed):
            first.upload_from_string(b"x", if_generation_match=0)
        raw = Raw(int(bucket.client.api_endpoint.rpartition(":")[2]))
        half = {"Content-Range": f"bytes 0-{QUANTUM - 1}/*"}
        raw.send("PUT", raw.begin(BUCKET, "never ended"), bytes(QUANTUM), half)
        last = bucket.blob("multipart")
        last.upload_from_string(b"last")
        made = resources(handler.wait(8))
    names = [resource["name"] for resource in made]
    ids = {call.headers["ce-id"] for call in handler.calls}

    assert names == [
        *("multipart", "resumable", "streamed", "copied", "rewritten", "composed", "moved"),
        "multipart",
    ]
    assert made[6]["generation"] == str(moved.generation)
    assert made[7]["generation"] == str(last.generation)
    assert len(ids) == len(handler.calls) == 8


@pytest.mark.parametrize("name", ["a folder/ä b.csv", 'quote"100%.csv', "日本語/😀"])
def test_event_of_an_odd_name(receiver: Receiver, tmp_path: Path, name: str) -> None:
    """A name that no HTTP header can hold is percent-encoded in the subject, plain in the data."""
    handler = receiver.handler()
    with told(tmp_path, handler) as bucket:
        bucket.blob(name).upload_from_string(b"x")
        (call,) = handler.wait(1)

    assert call.headers["ce-subject"].isascii()
    assert unquote(call.headers["ce-subject"]) == f"objects/{name}"
    assert json.loads(call.body)["name"] == name


@pytest.mark.parametrize("status", [500, 503, 429, 404])
def test_event_again(receiver: Receiver, tmp_path: Path, status: int) -> None:
    """An event that is not answered with success is told again, the same one, until it is."""
    handler = receiver.handler(status, status, 204)
    with told(tmp_path, handler) as bucket:
        bucket.blob("x").upload_from_string(b"x")
        calls = handler.wait(3)
        bucket.blob("y").upload_from_string(b"y")
        (*_, last) = handler.wait(4)

    assert len({call.headers["ce-id"] for call in calls}) == 1
    assert len({call.body for call in calls}) == 1
    pauses = [later.at - call.at for call, later in itertools.pairwise(calls)]
    assert pauses[0] >= 0.19
    assert pauses[1] >= 0.39
    assert json.loads(last.body)["name"] == "y"


def test_events_do_not_wait_for_one_another(receiver: Receiver, tmp_path: Path) -> None:
    """A receiver that is slow with one event gets the others meanwhile."""
    handler = receiver.handler(held=True)
    with told(tmp_path, handler) as bucket:
        for name in "abc":
            bucket.blob(name).upload_from_string(b"x")
        handler.wait(3)
        most = handler.most_busy
        handler.gate.set()

    assert most == 3


# -- as a program -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """`python -m local.emulators.storage`, and a client for it."""

    process: subprocess.Popen[str]
    port: int
    bucket: Bucket


@contextlib.contextmanager
def program(data: Path, *, port: int = 0, events: str | None = None) -> Iterator[Program]:
    """Run the server as a program of its own."""
    command = [
        sys.executable,
        "-m",
        "local.emulators.storage",
        "--port",
        str(port),
        "--data",
        str(data),
    ]
    command += ["--bucket", BUCKET, *(("--events", events) if events else ())]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = int(process.stdout.readline().rpartition(":")[2])
        client = connect(found)
        yield Program(process, found, client.bucket(BUCKET))
        client.close()
    finally:
        process.kill()
        process.communicate()


def test_what_outlives_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    """After kill -9 every acknowledged object, change and half-done upload is there, no other."""
    events = receiver.handler(held=True)
    with program(tmp_path, events=events.url) as first:
        for number in range(20):
            first.bucket.blob(f"{number}").upload_from_string(f"content {number}")
        kept = first.bucket.get_blob("3")
        kept.metadata = {"a": "1"}
        kept.patch()
        first.bucket.blob("4").delete()
        raw = Raw(first.port)
        place = raw.begin(BUCKET, "half")
        half = {"Content-Range": f"bytes 0-{QUANTUM - 1}/{2 * QUANTUM}"}
        raw.send("PUT", place, b"1" * QUANTUM, half)
        events.wait(1)
        first.process.kill()
        first.process.wait()
    events.gate.set()
    with program(tmp_path, events=events.url) as second:
        raw = Raw(second.port)
        objects = {
            blob.name: (blob.generation, blob.metageneration) for blob in second.bucket.list_blobs()
        }
        asked = raw.send("PUT", place, b"", {"Content-Range": f"bytes */{2 * QUANTUM}"})
        rest = {"Content-Range": f"bytes {QUANTUM}-{2 * QUANTUM - 1}/{2 * QUANTUM}"}
        done = raw.send("PUT", place, b"2" * QUANTUM, rest)
        content = second.bucket.blob("half").download_as_bytes()
        text = second.bucket.blob("7").download_as_text()
        # Those that were under way at the kill come again.
        came = events.wait(21 + min(8, len(events.calls)))
        second.process.send_signal(signal.SIGTERM)
        code = second.process.wait(SOON)

    assert set(objects) == {str(number) for number in range(20)} - {"4"}
    assert objects["3"] == (kept.generation, 2)
    assert asked.headers["range"] == f"bytes=0-{QUANTUM - 1}"
    assert done.status == 200
    assert content == b"1" * QUANTUM + b"2" * QUANTUM
    assert text == "content 7"
    names = {json.loads(call.body)["name"] for call in came}
    assert names == {str(number) for number in range(20)} | {"half"}
    assert int(done.json["generation"]) > max(generation for generation, _ in objects.values())
    assert code == 0


def test_client_resumes_over_a_kill(tmp_path: Path) -> None:
    """A client in mid-upload when the server is killed goes on by itself once it is back."""
    content = bytes(range(256)) * 8 * 1024
    halfway, back = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == len(content) // 2:
                halfway.set()
                assert back.wait(SOON)
            return super().read(size)

    with program(tmp_path) as first, ThreadPoolExecutor(1) as pool:
        blob = first.bucket.blob("x", chunk_size=QUANTUM)
        upload = pool.submit(blob.upload_from_file, Slow(content))
        assert halfway.wait(SOON)
        first.process.kill()
        first.process.wait()
        with program(tmp_path, port=first.port) as second:
            before = second.bucket.blob("x").exists()
            back.set()
            upload.result(2 * SOON)
            found = second.bucket.blob("x").download_as_bytes()

    assert not before
    assert found == content


def test_one_server_a_folder(tmp_path: Path) -> None:
    """A folder in use is refused with exit code 2 and a sentence, and left as it is."""
    server = serve(data=tmp_path, buckets=[BUCKET])
    try:
        command = [
            sys.executable,
            "-m",
            "local.emulators.storage",
            "--port",
            "0",
            "--bucket",
            BUCKET,
        ]
        ended = subprocess.run(
            [*command, "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        with pytest.raises(InUse):
            serve(data=tmp_path, buckets=[BUCKET])
        connect(server.port).bucket(BUCKET).blob("x").upload_from_string(b"x")
    finally:
        server.stop()

    assert ended.returncode == 2
    assert "in use by another storage server" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_taken_port(tmp_path: Path) -> None:
    """A port that is taken is an error, and leaves the folder free for another try."""
    server = serve(data=tmp_path / "one", buckets=[BUCKET])
    with pytest.raises(OSError, match="in use"):
        serve(data=tmp_path / "two", buckets=[BUCKET], port=server.port)
    serve(data=tmp_path / "two", buckets=[BUCKET]).stop()
    server.stop()


def test_nothing_is_left_lying(tmp_path: Path) -> None:
    """The files of what was replaced, deleted or never finished are removed."""

    def files() -> int:
        return sum(1 for file in (tmp_path / "contents").rglob("*") if file.is_file())

    server = serve(data=tmp_path, buckets=[BUCKET])
    bucket = connect(server.port).bucket(BUCKET)
    for _ in range(3):
        bucket.blob("x").upload_from_string(b"x")
    bucket.copy_blob(bucket.blob("x"), bucket, "shared")
    bucket.blob("gone").upload_from_string(b"y")
    bucket.blob("gone").delete()
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").upload_from_string(b"z", if_generation_match=0)
    during = files()
    bucket.blob("x").delete()
    shared = bucket.blob("shared").download_as_bytes()
    server.stop()
    (tmp_path / "contents" / "ab" / f"ab{'0' * 30}").write_bytes(b"left by a kill")
    serve(data=tmp_path, buckets=[BUCKET]).stop()

    assert during == 1
    assert shared == b"x"
    assert files() == 1
