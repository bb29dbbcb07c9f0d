"""The local storage server through the unmodified client: how bytes come in and go out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.storage.exceptions import InvalidResponse

from tests.conformance.storage_server import Answer, Raw, object_path
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.conformance.storage_server"]

Bucket = Any
"""The client has no types of its own."""

QUANTUM = 256 * 1024
"""What is kept of an upload that is not at its end comes in multiples of this."""


def data(size: int) -> bytes:
    """Bytes without a pattern that would hide a mistake."""
    return hashlib.shake_256(str(size).encode()).digest(size)


def crc32c(content: bytes) -> str:
    """The sum that the service knows objects by."""
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def md5(content: bytes) -> str:
    """The other sum."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def names(bucket: Bucket) -> list[str]:
    """Name all objects."""
    return [blob.name for blob in bucket.list_blobs()]


# -- going out --------------------------------------------------------------------------------

TEN = b"0123456789"


@pytest.fixture(scope="module")
def ten(client: Any) -> Bucket:
    """A bucket with an object of ten bytes and an empty one."""
    bucket = client.create_bucket("ten")
    blob = bucket.blob("x")
    blob.cache_control = "private, max-age=60"
    blob.content_disposition = 'attachment; filename="x.csv"'
    blob.metadata = {"a": "1"}
    blob.upload_from_string(TEN, content_type="text/csv")
    bucket.blob("empty").upload_from_string(b"")
    return bucket


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 0, b"0"), (2, 4, b"234"), (7, None, b"789"), (None, 3, b"0123"), (8, 99, b"89")],
)
def test_part(ten: Bucket, start: int | None, end: int | None, expected: bytes) -> None:
    """A client that asks for some bytes, both ends included, gets those that exist."""
    assert ten.blob("x").download_as_bytes(start=start, end=end) == expected


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, TEN, "bytes 0-9/10"),
        ("bytes=5-", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-99", 206, TEN, "bytes 0-9/10"),
        ("bytes=4-2", 200, TEN, None),
        ("bytes=-", 200, TEN, None),
        ("bytes=0-1,4-5", 200, TEN, None),
        ("lines=1-2", 200, TEN, None),
    ],
)
def test_range(
    ten: Bucket, raw: Raw, wanted: str, status: int, body: bytes, content_range: str | None
) -> None:
    """A Range header is followed as the RFC has it, and one without sense is ignored."""
    answer = raw.send("GET", object_path("ten", "x"), None, {"Range": wanted}, alt="media")

    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("content-range") == content_range
    assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("name", ["x", "empty"])
def test_no_such_part(ten: Bucket, name: str) -> None:
    """Bytes behind the end are refused with 416; an empty object has none at all."""
    start = ten.get_blob(name).size

    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        ten.blob(name).download_as_bytes(start=start)
    assert len(ten.blob(name).download_as_bytes()) == start


def test_headers(ten: Bucket, raw: Raw) -> None:
    """Bytes come with what the object is: type, sums, generation and what was set for browsers."""
    blob = ten.get_blob("x")
    headers = raw.send("GET", object_path("ten", "x"), alt="media").headers

    assert headers["content-type"] == "text/csv"
    assert headers["content-length"] == headers["x-goog-stored-content-length"] == "10"
    assert headers["x-goog-hash"] == f"crc32c={crc32c(TEN)},md5={md5(TEN)}"
    assert headers["x-goog-generation"] == str(blob.generation)
    assert headers["x-goog-metageneration"] == "1"
    assert headers["x-goog-storage-class"] == "STANDARD"
    assert headers["etag"] == blob.etag
    assert headers["cache-control"] == "private, max-age=60"
    assert headers["content-disposition"] == 'attachment; filename="x.csv"'
    assert headers["last-modified"].endswith(" GMT")


def test_a_generation(bucket: Bucket) -> None:
    """Bytes of a generation that has been replaced are gone, never those of another one."""
    blob = bucket.blob("x")
    blob.upload_from_string(b"old")
    old = bucket.blob("x", generation=blob.generation)
    bucket.blob("x").upload_from_string(b"new")

    with pytest.raises(exceptions.NotFound):
        old.download_as_bytes()
    assert bucket.blob("x").download_as_bytes() == b"new"


def test_a_reader_keeps_what_it_began(bucket: Bucket, raw: Raw) -> None:
    """A download under way ends with the bytes it began with, whatever becomes of the object."""
    content = data(8_000_000)
    bucket.blob("x").upload_from_string(content)
    with socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE) as sock:
        path = object_path(bucket.name, "x")
        head = f"GET {path}?alt=media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        sock.sendall(head.encode())
        received = sock.recv(1000)
        bucket.blob("x").delete()
        received += b"".join(iter(lambda: sock.recv(1_000_000), b""))

    assert received.partition(b"\r\n\r\n")[2] == content
    assert names(bucket) == []


def test_in_chunks(bucket: Bucket) -> None:
    """The client reads a large object piece by piece, forwards and from anywhere."""
    content = data(3 * QUANTUM + 17)
    bucket.blob("x").upload_from_string(content)
    whole = io.BytesIO()
    bucket.blob("x", chunk_size=QUANTUM).download_to_file(whole)
    with bucket.blob("x").open("rb", chunk_size=QUANTUM) as file:
        file.seek(QUANTUM - 5)
        across = file.read(10)
        file.seek(-17, os.SEEK_END)
        end = file.read()

    assert whole.getvalue() == content
    assert across == content[QUANTUM - 5 : QUANTUM + 5]
    assert end == content[-17:]


# -- compressed -------------------------------------------------------------------------------


@pytest.fixture
def packed(bucket: Bucket) -> bytes:
    """An object `x` that is stored compressed, and says so; returns its text."""
    text = b"PERIDX,EMAIL\n" * 100_000
    blob = bucket.blob("x")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(text, mtime=0), content_type="text/csv")
    return text


def test_unpacked_for_whom_it_must(bucket: Bucket, packed: bytes, raw: Raw) -> None:
    """What is stored compressed is unpacked for clients who do not take it compressed."""
    stored = gzip.compress(packed, mtime=0)
    plain = raw.send("GET", object_path(bucket.name, "x"), alt="media")
    taken = raw.send(
        "GET", object_path(bucket.name, "x"), None, {"Accept-Encoding": "gzip"}, alt="media"
    )

    assert plain.body == packed
    assert "content-encoding" not in plain.headers
    assert "gunzipped" in plain.headers["warning"]
    assert plain.headers["x-goog-stored-content-encoding"] == "gzip"
    assert (taken.body, taken.headers["content-encoding"]) == (stored, "gzip")
    assert taken.headers["content-length"] == str(len(stored))


def test_packed_and_the_client(bucket: Bucket, packed: bytes) -> None:
    """The client gives the text, or with `raw_download` the bytes as they are stored."""
    blob = bucket.blob("x")

    assert blob.download_as_bytes() == packed
    assert blob.download_as_bytes(raw_download=True) == gzip.compress(packed, mtime=0)
    assert blob.download_as_bytes(raw_download=True, start=0, end=1) == b"\x1f\x8b"
    assert bucket.get_blob("x").content_encoding == "gzip"


def test_no_transform(bucket: Bucket, packed: bytes, raw: Raw) -> None:
    """With `no-transform` everybody gets what is stored; nothing is unpacked in parts."""
    part = raw.send("GET", object_path(bucket.name, "x"), None, {"Range": "bytes=0-1"}, alt="media")
    blob = bucket.blob("x")
    blob.cache_control = "no-transform"
    blob.patch()
    answer = raw.send("GET", object_path(bucket.name, "x"), alt="media")

    assert (part.status, part.body) == (200, packed)
    assert answer.body == gzip.compress(packed, mtime=0)


# -- coming in --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, QUANTUM, QUANTUM + 1, 3 * QUANTUM])
@pytest.mark.parametrize("way", ["multipart", "resumable", "in chunks", "streamed", "media"])
def test_upload(bucket: Bucket, raw: Raw, way: str, size: int) -> None:
    """However an object is uploaded, it is what was sent, with the sums of that."""
    content, blob = data(size), bucket.blob("x")
    if way == "multipart":
        blob.upload_from_string(content, content_type="text/csv")
    elif way == "resumable":
        blob.upload_from_file(io.BytesIO(content), content_type="text/csv")
    elif way == "in chunks":
        blob.chunk_size = QUANTUM
        blob.upload_from_file(io.BytesIO(content), size=size, content_type="text/csv")
    elif way == "streamed":
        with blob.open("wb", chunk_size=QUANTUM, content_type="text/csv") as file:
            for start in range(0, size, 100_000):
                file.write(content[start : start + 100_000])
    else:
        raw.send(
            *("POST", f"/upload/storage/v1/b/{bucket.name}/o", content),
            {"Content-Type": "text/csv"},
            uploadType="media",
            name="x",
        )
    found = bucket.get_blob("x")

    assert (found.size, found.content_type) == (size, "text/csv")
    assert (found.crc32c, found.md5_hash) == (crc32c(content), md5(content))
    assert found.download_as_bytes() == content


def test_metadata_of_an_upload(bucket: Bucket) -> None:
    """What a client sets before an upload is there from the first moment, at metageneration 1."""
    for number, size in enumerate((10, 9_000_000)):
        blob = bucket.blob(f"{number}")
        blob.metadata = {"from": "Hobart – Süd"}
        blob.cache_control = "no-store"
        blob.storage_class = "NEARLINE"
        blob.upload_from_file(io.BytesIO(data(size)), size=size, content_type="text/csv")
        found = bucket.get_blob(f"{number}")

        assert (found.metageneration, found.metadata) == (1, {"from": "Hobart – Süd"})
        assert (found.cache_control, found.storage_class) == ("no-store", "NEARLINE")


def test_not_seen_before_its_end(bucket: Bucket) -> None:
    """A streamed object is not there, and the old one still is, until the stream is closed."""
    bucket.blob("x").upload_from_string(b"old")
    writer = bucket.blob("x").open("wb", chunk_size=QUANTUM)
    writer.write(data(2 * QUANTUM + 1))
    during = bucket.blob("x").download_as_bytes()
    writer.close()

    assert during == b"old"
    assert bucket.blob("x").download_as_bytes() == data(2 * QUANTUM + 1)


@pytest.mark.parametrize("kind", ["multipart", "media", "chunked"])
def test_broken_off(bucket: Bucket, raw: Raw, kind: str) -> None:
    """A client that goes away in mid-upload leaves nothing, and the old object as it was."""
    bucket.blob("x").upload_from_string(b"old")
    upload = "multipart" if kind == "multipart" else "media"
    lines = [
        f"POST /upload/storage/v1/b/{bucket.name}/o?uploadType={upload}&name=x HTTP/1.1",
        "Host: localhost",
        "Transfer-Encoding: chunked" if kind == "chunked" else "Content-Length: 5000000",
    ]
    body = data(300_000)
    if kind == "multipart":
        lines.append("Content-Type: multipart/related; boundary=B")
        body = b'--B\r\n\r\n{"name": "x"}\r\n--B\r\n\r\n' + body
    elif kind == "chunked":
        body = b"%x\r\n%b\r\n" % (len(body), body)
    with socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        sock.shutdown(socket.SHUT_WR)
        rest = b"".join(iter(lambda: sock.recv(1000), b""))

    assert b" 200 " not in rest
    assert bucket.blob("x").download_as_bytes() == b"old"
    assert names(bucket) == ["x"]


def test_chunked(bucket: Bucket, raw: Raw) -> None:
    """A body whose length nobody knows at its beginning is taken as well."""
    content = data(700_000)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 9_999):
            yield content[start : start + 9_999]

    path = f"/upload/storage/v1/b/{bucket.name}/o"
    at_once = raw.send("POST", path, pieces(), uploadType="media", name="at once")
    place = raw.begin(bucket.name, "bit by bit")
    later = raw.send("PUT", place, pieces())

    assert (at_once.status, later.status) == (200, 200)
    assert bucket.blob("at once").download_as_bytes() == content
    assert bucket.blob("bit by bit").download_as_bytes() == content


# -- sums -------------------------------------------------------------------------------------

WRONG = {"crc32c": crc32c(b"another"), "md5Hash": md5(b"another")}
RIGHT = {"crc32c": crc32c(TEN), "md5Hash": md5(TEN)}


@pytest.mark.parametrize("sums", [{name: value} for name, value in WRONG.items()])
@pytest.mark.parametrize("way", ["multipart", "resumable"])
def test_wrong_sum(bucket: Bucket, raw: Raw, sums: dict[str, str], way: str) -> None:
    """Bytes that do not have the sum they are said to have are refused, and nothing is kept."""
    bucket.blob("x").upload_from_string(b"old")
    answer = send_with(raw, bucket, sums, way)

    assert answer.status == 400
    assert "doesn't match" in answer.json["error"]["message"]
    assert bucket.blob("x").download_as_bytes() == b"old"


@pytest.mark.parametrize("way", ["multipart", "resumable"])
def test_right_sums(bucket: Bucket, raw: Raw, way: str) -> None:
    """Bytes that have the sums they are said to have are taken."""
    assert send_with(raw, bucket, RIGHT, way).status == 200
    assert bucket.blob("x").download_as_bytes() == TEN


def send_with(raw: Raw, bucket: Bucket, sums: dict[str, str], way: str) -> Answer:
    """Upload ten bytes as `x`, with sums in the metadata."""
    path, metadata = f"/upload/storage/v1/b/{bucket.name}/o", json.dumps({"name": "x", **sums})
    if way == "multipart":
        body = f"--B\r\n\r\n{metadata}\r\n--B\r\n\r\n".encode() + TEN + b"\r\n--B--\r\n"
        content_type = {"Content-Type": "multipart/related; boundary=B"}
        return raw.send("POST", path, body, content_type, uploadType="multipart")
    begun = raw.send("POST", path, metadata.encode(), uploadType="resumable")
    place = begun.headers["location"].partition(f":{raw.port}")[2]
    return raw.send("PUT", place, TEN)


@pytest.mark.parametrize("sum", ["crc32c", "md5"])
@pytest.mark.parametrize("way", ["media", "resumable"])
def test_sum_in_a_header(bucket: Bucket, raw: Raw, way: str, sum: str) -> None:
    """A sum may come in the header `x-goog-hash` too, as the client sends it at an upload's end."""
    path = f"/upload/storage/v1/b/{bucket.name}/o"
    make = {"crc32c": crc32c, "md5": md5}[sum]
    statuses = []
    for content in (b"another", TEN):
        headers = {"X-Goog-Hash": f"{sum}={make(content)}"}
        if way == "media":
            answer = raw.send("POST", path, TEN, headers, uploadType="media", name="x")
        else:
            answer = raw.send("PUT", raw.begin(bucket.name, "x"), TEN, headers)
        statuses.append((answer.status, bucket.blob("x").exists()))

    assert statuses == [(400, False), (200, True)]


def test_sum_of_a_program(bucket: Bucket) -> None:
    """A sum that a program knows beforehand is handed on by the client, and counts."""
    blob = bucket.blob("x")
    blob.md5_hash = WRONG["md5Hash"]
    with pytest.raises(exceptions.BadRequest):
        blob.upload_from_string(TEN, checksum=None)
    for sums in ({"crc32c_checksum_value": WRONG["crc32c"]}, {"checksum": None}):
        with pytest.raises((exceptions.BadRequest, InvalidResponse)):
            blob.upload_from_file(io.BytesIO(TEN), **sums)
    blob.md5_hash = RIGHT["md5Hash"]
    blob.upload_from_string(TEN, checksum=None)

    assert bucket.blob("x").download_as_bytes() == TEN


# -- resumed ----------------------------------------------------------------------------------


def piece(raw: Raw, place: str, content: bytes, first: int, total: int | str) -> Answer:
    """Send bytes of a resumable upload, the first of which has this place in the object."""
    last = first + len(content) - 1
    return raw.send("PUT", place, content, {"Content-Range": f"bytes {first}-{last}/{total}"})


def ask(raw: Raw, place: str, total: int | str = "*") -> Answer:
    """Ask how much of a resumable upload has come."""
    return raw.send("PUT", place, b"", {"Content-Range": f"bytes */{total}"})


def break_off(raw: Raw, place: str, content: bytes, promised: int) -> None:
    """Send the beginning of an upload and hang up."""
    with socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE) as sock:
        head = f"PUT {place} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {promised}\r\n\r\n"
        sock.sendall(head.encode() + content)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass


def test_bit_by_bit(bucket: Bucket, raw: Raw) -> None:
    """Pieces are acknowledged, what has come can be asked for, and the last makes the object."""
    content = data(2 * QUANTUM + 5)
    place = raw.begin(bucket.name, "x", X_Upload_Content_Type="text/csv")
    nothing = ask(raw, place)
    first = piece(raw, place, content[:QUANTUM], 0, "*")
    asked = ask(raw, place, len(content))
    second = piece(raw, place, content[QUANTUM : 2 * QUANTUM], QUANTUM, len(content))
    seen = names(bucket)
    last = piece(raw, place, content[2 * QUANTUM :], 2 * QUANTUM, len(content))
    again = ask(raw, place)

    assert (nothing.status, nothing.headers.get("range")) == (308, None)
    assert (first.status, first.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    assert (asked.status, asked.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    assert (second.status, second.headers["range"]) == (308, f"bytes=0-{2 * QUANTUM - 1}")
    assert seen == []
    assert (last.status, last.json["size"]) == (200, str(len(content)))
    assert last.json["contentType"] == "text/csv"
    assert again.json["generation"] == last.json["generation"]
    assert bucket.blob("x").download_as_bytes() == content


def test_resumed(bucket: Bucket, raw: Raw) -> None:
    """After a lost connection whole multiples of 256 KiB are kept, and the upload goes on there."""
    content = data(4 * QUANTUM)
    place = raw.begin(bucket.name, "x")
    break_off(raw, place, content[: 2 * QUANTUM + 1000], len(content))
    kept = ask(raw, place).headers["range"]
    seen = names(bucket)
    rest = piece(raw, place, content[2 * QUANTUM :], 2 * QUANTUM, len(content))

    assert kept == f"bytes=0-{2 * QUANTUM - 1}"
    assert seen == []
    assert rest.status == 200
    assert bucket.blob("x").download_as_bytes() == content


def test_sent_twice(bucket: Bucket, raw: Raw) -> None:
    """Bytes that come again are taken once; a gap is refused, and costs nothing."""
    content = data(3 * QUANTUM)
    place = raw.begin(bucket.name, "x")
    piece(raw, place, content[: 2 * QUANTUM], 0, "*")
    gap = piece(raw, place, content[:10], 3 * QUANTUM, "*")
    again = piece(raw, place, content[QUANTUM:], QUANTUM, len(content))

    assert gap.status == 503
    assert again.status == 200
    assert bucket.blob("x").download_as_bytes() == content


def test_length_known_late(bucket: Bucket, raw: Raw) -> None:
    """A client may say at the very end how long the object is, with no byte more."""
    content = data(QUANTUM)
    place = raw.begin(bucket.name, "x")
    piece(raw, place, content, 0, "*")
    done = ask(raw, place, QUANTUM)

    assert (done.status, done.json["size"]) == (200, str(QUANTUM))
    assert bucket.blob("x").download_as_bytes() == content


def test_no_308(bucket: Bucket, raw: Raw) -> None:
    """Clients that cannot bear a 308, Go's among them, get a 200 that says so."""
    place = raw.begin(bucket.name, "x")
    headers = {"X-GUploader-No-308": "yes", "Content-Range": f"bytes 0-{QUANTUM - 1}/*"}
    answer = raw.send("PUT", place, data(QUANTUM), headers)

    assert answer.status == 200
    assert answer.headers["x-http-status-code-override"] == "308"
    assert answer.headers["range"] == f"bytes=0-{QUANTUM - 1}"
    assert names(bucket) == []


def test_cancelled(bucket: Bucket, raw: Raw) -> None:
    """An upload that was cancelled is over: 499, and nothing comes of it."""
    place = raw.begin(bucket.name, "x")
    piece(raw, place, data(QUANTUM), 0, "*")
    statuses = [
        raw.send("DELETE", place).status,
        piece(raw, place, data(QUANTUM), QUANTUM, 2 * QUANTUM).status,
        ask(raw, place).status,
    ]

    assert statuses == [499, 499, 499]
    assert names(bucket) == []


@pytest.mark.parametrize(
    "header", ["bytes 5-2/10", "bytes 0-9/5", "bytes x-y/z", "0-9/10", "bytes 0-9", "bytes -/1"]
)
def test_range_without_sense(bucket: Bucket, raw: Raw, header: str) -> None:
    """A Content-Range that cannot be is refused, and the upload can still go on."""
    place = raw.begin(bucket.name, "x")
    wrong = raw.send("PUT", place, TEN, {"Content-Range": header})
    right = piece(raw, place, TEN, 0, len(TEN))

    assert (wrong.status, right.status) == (400, 200)


def test_promised_length(bucket: Bucket, raw: Raw) -> None:
    """An object that is not as long as was promised at the beginning is refused."""
    place = raw.begin(bucket.name, "x", X_Upload_Content_Length="11")
    answer = raw.send("PUT", place, TEN)

    assert answer.status == 400
    assert names(bucket) == []


def test_condition_at_both_ends(bucket: Bucket, raw: Raw) -> None:
    """A condition is looked at when an upload begins, and again when it ends."""
    begin = {"uploadType": "resumable", "name": "x", "ifGenerationMatch": 0}
    path = f"/upload/storage/v1/b/{bucket.name}/o"
    begun = raw.send("POST", path, **begin)
    place = begun.headers["location"].partition(f":{raw.port}")[2]
    bucket.blob("x").upload_from_string(b"first")

    assert raw.send("PUT", place, b"second").status == 412
    assert raw.send("POST", path, **begin).status == 412
    assert bucket.blob("x").download_as_bytes() == b"first"


def test_a_session_for_another(client: Any, bucket: Bucket, raw: Raw) -> None:
    """A session that one program has begun can be filled by another that knows no more."""
    session = bucket.blob("x").create_resumable_upload_session(
        content_type="text/csv", if_generation_match=0
    )
    answer = raw.send("PUT", session.partition(f":{raw.port}")[2], TEN)

    assert answer.json["contentType"] == "text/csv"
    assert bucket.blob("x").download_as_bytes() == TEN
