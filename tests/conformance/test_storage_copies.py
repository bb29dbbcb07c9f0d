"""Copies, moves, composed objects and batches of the local storage server."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from tests.conformance.storage_helpers import Bucket, names, put
from tests.conformance.storage_server import Raw, object_path

pytest_plugins = ["tests.conformance.storage_server"]


# -- copies -----------------------------------------------------------------------------------


def test_copy(client: Any, bucket: Bucket) -> None:
    """A copy has the bytes, sums and metadata of its source, and a generation of its own."""
    other = client.create_bucket(f"{bucket.name}-other")
    source = put(bucket, "x", b"hello", content_type="text/csv")
    source.metadata = {"a": "1"}
    source.patch()
    copy = bucket.copy_blob(source, other, "y")
    copy.reload()

    assert (copy.crc32c, copy.md5_hash) == (source.crc32c, source.md5_hash)
    assert copy.download_as_bytes() == b"hello"
    assert (copy.content_type, copy.metadata) == ("text/csv", {"a": "1"})
    assert copy.generation > source.generation
    assert copy.metageneration == 1
    source.delete()
    assert copy.download_as_bytes() == b"hello"


def test_rewrite(bucket: Bucket) -> None:
    """A rewrite says how much it has done, and can bring metadata of its own."""
    source = put(bucket, "x", b"hello", content_type="text/csv")
    target = bucket.blob("y")
    target.content_type = "text/plain"
    done = target.rewrite(source)
    source.update_storage_class("NEARLINE")

    assert done == (None, 5, 5)
    assert bucket.get_blob("y").content_type == "text/plain"
    assert bucket.get_blob("x").storage_class == "NEARLINE"
    assert bucket.get_blob("x").content_type == "text/csv"


def test_rewrite_in_steps(bucket: Bucket, raw: Raw) -> None:
    """A rewrite that is limited goes on by its token; nothing is seen of it before its end."""
    size = 3 * 1024 * 1024 + 7
    source = put(bucket, "x", bytes(size))
    path = f"{object_path(bucket.name, 'x')}/rewriteTo/b/{bucket.name}/o/y"
    step = {"maxBytesRewrittenPerCall": 1024 * 1024}
    first = raw.send("POST", path, b"null", **step).json
    second = raw.send("POST", path, b"null", rewriteToken=first["rewriteToken"], **step).json
    between = bucket.blob("y").exists()
    token, done, total = bucket.blob("y").rewrite(source, token=second["rewriteToken"])

    assert (first["done"], first["totalBytesRewritten"]) == (False, str(1024 * 1024))
    assert (second["done"], second["totalBytesRewritten"]) == (False, str(2 * 1024 * 1024))
    assert "resource" not in first
    assert not between
    assert (token, done, total) == (None, size, size)
    assert bucket.blob("y").download_as_bytes() == bytes(size)


def test_rewrite_of_what_has_changed(bucket: Bucket, raw: Raw) -> None:
    """A token is good for its own source and target alone, and for the same bytes."""
    source = put(bucket, "x", bytes(2 * 1024 * 1024))
    path = f"{object_path(bucket.name, 'x')}/rewriteTo/b/{bucket.name}/o/y"
    token = raw.send("POST", path, maxBytesRewrittenPerCall=1024 * 1024).json["rewriteToken"]

    for target, given in (("z", token), ("y", "nonsense")):
        with pytest.raises(exceptions.BadRequest):
            bucket.blob(target).rewrite(source, token=given)
    put(bucket, "x", b"new")
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("y").rewrite(bucket.blob("x"), token=token)
    wrong = raw.send("POST", path, maxBytesRewrittenPerCall=1000)
    assert wrong.status == 400
    assert names(bucket.list_blobs()) == ["x"]


def test_move(bucket: Bucket) -> None:
    """A move leaves the bytes under the new name alone, over what was there."""
    source = put(bucket, "x", b"moved", content_type="text/csv")
    put(bucket, "y", b"old")
    moved = bucket.move_blob(source, "y")

    assert names(bucket.list_blobs()) == ["y"]
    assert moved.download_as_bytes() == b"moved"
    assert bucket.get_blob("y").content_type == "text/csv"
    assert moved.generation > source.generation
    with pytest.raises(exceptions.BadRequest):
        bucket.move_blob(bucket.blob("y"), "y")


def test_rename(bucket: Bucket) -> None:
    """The client's rename, a copy and a deletion, does what it says."""
    source = put(bucket, "x", b"renamed")
    bucket.rename_blob(source, "y", if_generation_match=0)

    assert names(bucket.list_blobs()) == ["y"]
    assert bucket.blob("y").download_as_bytes() == b"renamed"


def test_compose(bucket: Bucket) -> None:
    """A composition is its parts one after another, counted, with a crc32c and no md5."""
    parts = [put(bucket, f"part{number}", str(number)) for number in range(3)]
    whole = bucket.blob("whole")
    whole.content_type = "text/csv"
    whole.compose([*parts, parts[0]])
    again = bucket.blob("again")
    again.compose([whole, parts[1]])
    again.reload()

    assert whole.download_as_bytes() == b"0120"
    assert again.download_as_bytes() == b"01201"
    assert (whole.component_count, again.component_count) == (4, 5)
    assert whole.content_type == "text/csv"
    assert again.md5_hash is None
    assert again.crc32c == put(bucket, "same", b"01201").crc32c
    whole.compose([whole, parts[2]], if_generation_match=whole.generation)
    assert whole.download_as_bytes() == b"01202"


def test_compose_of_too_many(bucket: Bucket) -> None:
    """A composition has from 1 to 32 parts."""
    part = put(bucket, "part", b"x")
    bucket.blob("most").compose([part] * 32)

    for count in (0, 33):
        with pytest.raises(exceptions.BadRequest):
            bucket.blob("no").compose([part] * count)
    assert bucket.get_blob("most").size == 32


# -- batches ----------------------------------------------------------------------------------


def test_batch(client: Any, bucket: Bucket) -> None:
    """Calls in a batch are all made, and each gets its answer."""
    for number in range(30):
        put(bucket, f"odd/{number} & ä.csv")
    kept = bucket.blob("odd/0 & ä.csv")
    with client.batch():
        for number in range(1, 30):
            bucket.blob(f"odd/{number} & ä.csv").delete()
        kept.metadata = {"a": "1"}
        kept.patch()

    assert names(bucket.list_blobs()) == [kept.name]
    assert bucket.get_blob(kept.name).metadata == {"a": "1"}


def test_batch_with_failures(client: Any, bucket: Bucket) -> None:
    """A call that fails within a batch keeps none of the others from being made."""
    put(bucket, "x")
    put(bucket, "y")
    with client.batch(raise_exception=False) as batch:
        bucket.blob("gone").delete()
        bucket.blob("x").delete(if_generation_match=1)
        bucket.blob("y").delete()
    statuses = [response.status_code for response in batch._responses]

    assert statuses == [404, 412, 204]
    assert names(bucket.list_blobs()) == ["x"]
    with pytest.raises(exceptions.NotFound), client.batch():
        bucket.blob("gone").delete()


def test_delete_blobs(bucket: Bucket) -> None:
    """The client's deletion of many deletes them, and tells of those that are not there."""
    blobs = [put(bucket, name) for name in "abc"]
    missing: list[Any] = []
    bucket.delete_blobs([*blobs, bucket.blob("gone")], on_error=missing.append)

    assert names(bucket.list_blobs()) == []
    assert names(missing) == ["gone"]
