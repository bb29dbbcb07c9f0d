"""The local storage server through the unmodified client: buckets, objects, versions, lists."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions

from tests.conformance.storage_helpers import Bucket, names, put
from tests.conformance.storage_server import Raw, object_path

pytest_plugins = ["tests.conformance.storage_server"]


# -- buckets ----------------------------------------------------------------------------------


def test_bucket_from_first_to_last(client: Any) -> None:
    """A bucket is made, found, listed, changed and deleted."""
    made = client.create_bucket("shop-first-to-last", location="australia-southeast1")
    made.labels = {"team": "retail"}
    made.add_lifecycle_delete_rule(age=30)
    made.patch()
    found = client.get_bucket("shop-first-to-last")
    listed = names(client.list_buckets(prefix="shop-first"))
    found.delete()

    assert (found.name, found.location) == ("shop-first-to-last", "AUSTRALIA-SOUTHEAST1")
    assert (found.labels, found.metageneration) == ({"team": "retail"}, 2)
    assert [rule["condition"] for rule in found.lifecycle_rules] == [{"age": 30}]
    assert abs(found.time_created - datetime.now(UTC)) < timedelta(minutes=1)
    assert listed == ["shop-first-to-last"]
    assert client.lookup_bucket("shop-first-to-last") is None
    assert names(client.list_buckets(prefix="shop-first")) == []


def test_buckets_in_pages(client: Any) -> None:
    """Buckets are listed by name, over as many pages as it takes."""
    for letter in "cab":
        client.create_bucket(f"paged-{letter}")
    listed = client.list_buckets(prefix="paged-", max_results=2)
    pages = [names(page) for page in client.list_buckets(prefix="paged-", page_size=2).pages]

    assert names(listed) == ["paged-a", "paged-b"]
    assert pages == [["paged-a", "paged-b"], ["paged-c"]]


def test_bucket_conflicts(client: Any, bucket: Bucket) -> None:
    """A name that is taken, a bucket that is not empty and one that is not there are refused."""
    put(bucket, "x")

    with pytest.raises(exceptions.Conflict):
        client.create_bucket(bucket.name)
    with pytest.raises(exceptions.Conflict, match="not empty"):
        client.bucket(bucket.name).delete()
    with pytest.raises(exceptions.BadRequest):
        client.create_bucket("Capital")
    for call in (
        lambda gone: gone.reload(),
        lambda gone: gone.delete(),
        lambda gone: list(gone.list_blobs()),
        lambda gone: gone.blob("x").upload_from_string("x"),
        lambda gone: gone.blob("x").upload_from_string("x", if_generation_match=0),
        lambda gone: gone.blob("x").reload(),
    ):
        with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
            call(client.bucket("no-such-bucket"))


def test_bucket_conditions(client: Any, bucket: Bucket) -> None:
    """A bucket's metageneration can be demanded."""
    bucket.labels = {"a": "1"}
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.patch(if_metageneration_match=7)
    bucket.patch(if_metageneration_match=1)

    with pytest.raises(exceptions.PreconditionFailed):
        client.get_bucket(bucket.name, if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.delete(if_metageneration_match=1)
    assert client.get_bucket(bucket.name, if_metageneration_match=2).labels == {"a": "1"}


# -- what an object is ------------------------------------------------------------------------


def test_resource(bucket: Bucket) -> None:
    """An object is described as the service does, sums included."""
    blob = put(bucket, "pending/customers.csv", b"hello world", content_type="text/csv")

    assert (blob.size, blob.content_type) == (11, "text/csv")
    assert (blob.crc32c, blob.md5_hash) == ("yZRlqg==", "XrY7u+Ae7tCTyyK7j1rNww==")
    assert (blob.metageneration, blob.storage_class) == (1, "STANDARD")
    assert blob.id == f"{bucket.name}/pending/customers.csv/{blob.generation}"
    assert abs(blob.time_created - datetime.now(UTC)) < timedelta(minutes=1)
    assert blob.time_created == blob.updated
    assert blob.component_count is None
    assert blob.time_deleted is None


def test_links(bucket: Bucket) -> None:
    """An object's links are absolute, and lead to its bytes and its description unsigned."""
    blob = put(bucket, "a folder/ä&b?.csv", b"linked")
    with urllib.request.urlopen(blob.media_link) as answer:
        media = answer.read()
    with urllib.request.urlopen(blob.self_link) as answer:
        described = answer.read()

    assert media == b"linked"
    assert f'"generation": "{blob.generation}"'.encode() in described


def test_generations_rise(bucket: Bucket) -> None:
    """Every upload of a name is a new, higher generation, at metageneration 1."""
    blobs = [put(bucket, "x", str(number)) for number in range(20)]
    generations = [blob.generation for blob in blobs]

    assert generations == sorted(set(generations))
    assert {blob.metageneration for blob in blobs} == {1}
    assert bucket.get_blob("x").generation == generations[-1]
    assert bucket.get_blob("x", generation=generations[0]) is None
    with pytest.raises(exceptions.NotFound):
        bucket.blob("x", generation=generations[0]).download_as_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "a/b/c.csv",
        "folder/",
        "//",
        "a//b",
        "/leading",
        "./x",
        "../x",
        " leading and trailing ",
        "100%",
        "a%2Fb",
        "a+b&c=d;e,f",
        "what?.csv",
        "hash#tag",
        "customers_2023-04-24T20:12:30Z.csv",
        "quote\"'`<>\\^|{}~",
        "[brackets]*?!",
        "tab\there",
        "e\u0301 is not é",
        "日本語/😀.csv",
        "x" * 1024,
        "é" * 512,
    ],
)
def test_odd_names(bucket: Bucket, name: str) -> None:
    """Whatever a name is made of, the object is found under it, listed, copied and deleted."""
    blob = put(bucket, name, name)
    copy = bucket.copy_blob(blob, bucket, "copy")

    assert bucket.get_blob(name).name == name
    assert blob.download_as_text() == copy.download_as_text() == name
    assert names(bucket.list_blobs(prefix=name)) == [name]
    moved = bucket.move_blob(copy, f"m{name}"[:500])
    assert moved.download_as_text() == name
    blob.delete()
    assert names(bucket.list_blobs()) == [moved.name]


@pytest.mark.parametrize(
    "name", [".", "..", "x" * 1025, "a\nb", "a\rb", ".well-known/acme-challenge/x"]
)
def test_names_that_cannot_be(bucket: Bucket, name: str) -> None:
    """A name that the service does not take is not taken here."""
    source = put(bucket, "x")
    with pytest.raises(exceptions.BadRequest):
        put(bucket, name)
    # Dots in an address are for the client's own library, and never come here.
    for call in (bucket.copy_blob, bucket.move_blob) if name.strip(".") else ():
        where = (name,) if call == bucket.move_blob else (bucket, name)
        with pytest.raises(exceptions.BadRequest):
            call(source, *where)
    assert names(bucket.list_blobs()) == ["x"]


def test_nothing_there(bucket: Bucket) -> None:
    """What is not there is not found, and deleting it is no success."""
    gone = bucket.blob("gone")

    assert bucket.get_blob("gone") is None
    assert not gone.exists()
    for call in (
        gone.reload,
        gone.delete,
        gone.patch,
        gone.download_as_bytes,
        lambda: bucket.copy_blob(gone, bucket, "y"),
        lambda: bucket.move_blob(gone, "y"),
        lambda: bucket.blob("y").rewrite(gone),
        lambda: bucket.blob("y").compose([gone]),
    ):
        with pytest.raises(exceptions.NotFound):
            call()


# -- metadata ---------------------------------------------------------------------------------


def test_patch(bucket: Bucket) -> None:
    """A patch changes what it names, one metadata key at a time, and nothing else."""
    blob = put(bucket, "x", content_type="text/csv")
    blob.metadata = {"a": "1", "b": "2"}
    blob.cache_control = "no-store"
    blob.content_disposition = 'attachment; filename="x.csv"'
    blob.content_language = "en-AU"
    blob.custom_time = datetime(2024, 11, 18, tzinfo=UTC)
    blob.patch()
    before = bucket.get_blob("x")
    blob.metadata = {"a": None, "c": "3"}
    blob.patch()
    after = bucket.get_blob("x")

    assert (before.metageneration, before.metadata) == (2, {"a": "1", "b": "2"})
    assert (after.metageneration, after.metadata) == (3, {"b": "2", "c": "3"})
    assert after.generation == blob.generation
    assert after.updated > after.time_created
    assert after.cache_control == "no-store"
    assert after.content_disposition == 'attachment; filename="x.csv"'
    assert (after.content_language, after.content_type) == ("en-AU", "text/csv")
    assert after.custom_time == datetime(2024, 11, 18, tzinfo=UTC)


def test_update(bucket: Bucket, raw: Raw) -> None:
    """An update puts the metadata it brings in the place of all that was there."""
    blob = put(bucket, "x", content_type="text/csv")
    blob.metadata = {"a": "1"}
    blob.cache_control = "no-store"
    blob.patch()
    answer = raw.send(
        "PUT", object_path(bucket.name, "x"), b'{"contentType": "text/plain", "metadata": {}}'
    )
    blob.reload()

    assert (answer.status, answer.json["metageneration"]) == (200, "3")
    assert (blob.content_type, blob.metadata, blob.cache_control) == ("text/plain", {}, None)
    blob.metadata = {"b": "2"}
    blob.update()
    assert bucket.get_blob("x").metadata == {"b": "2"}


def test_wrong_metadata(bucket: Bucket, raw: Raw) -> None:
    """Metadata that are no texts, and bodies that are no JSON object, are refused."""
    put(bucket, "x")
    bodies = [b'{"metadata": {"a": 1}}', b'{"contentType": 7}', b"[]", b"{"]
    statuses = [raw.send("PATCH", object_path(bucket.name, "x"), body).status for body in bodies]

    assert statuses == [400] * 4
    assert bucket.get_blob("x").metageneration == 1


def test_fields(bucket: Bucket, raw: Raw) -> None:
    """A client that asks for some fields gets those."""
    blob = put(bucket, "a/x")
    put(bucket, "b")
    some = raw.send("GET", object_path(bucket.name, "a/x"), fields="name,size")
    listed = raw.send(
        "GET", f"/storage/v1/b/{bucket.name}/o", fields="items(name),prefixes", delimiter="/"
    )
    wrong = raw.send("GET", object_path(bucket.name, "a/x"), fields="name(")

    assert some.json == {"name": "a/x", "size": str(blob.size)}
    assert listed.json == {"items": [{"name": "b"}], "prefixes": ["a/"]}
    assert wrong.status == 400


# -- versions ---------------------------------------------------------------------------------


def test_versions(client: Any, bucket: Bucket) -> None:
    """A versioned bucket keeps what was replaced or deleted, read, listed, brought back."""
    bucket.versioning_enabled = True
    bucket.patch()
    first, second = put(bucket, "x", b"1"), put(bucket, "x", b"2")
    bucket.blob("x").delete()
    listed = list(client.list_blobs(bucket.name, versions=True))

    assert not bucket.blob("x").exists()
    assert [blob.generation for blob in listed] == [first.generation, second.generation]
    assert all(blob.time_deleted for blob in listed)
    assert bucket.blob("x", generation=first.generation).download_as_bytes() == b"1"
    bucket.copy_blob(first, bucket, "x", source_generation=first.generation)
    assert bucket.blob("x").download_as_bytes() == b"1"
    bucket.blob("x", generation=second.generation).delete()
    assert [blob.generation for blob in client.list_blobs(bucket.name, versions=True)] == [
        first.generation,
        bucket.get_blob("x").generation,
    ]


# -- lists ------------------------------------------------------------------------------------

TREE = ["a", "a/1", "a/2", "a/b/3", "b/4", "c", "d/", "d/5", "日本/6"]


@pytest.fixture(scope="module")
def tree(client: Any) -> Bucket:
    """A bucket that nobody changes."""
    bucket = client.create_bucket("tree")
    for name in reversed(TREE):
        put(bucket, name)
    return bucket


@pytest.mark.parametrize(
    ("query", "items", "prefixes"),
    [
        ({}, TREE, []),
        ({"prefix": "a"}, ["a", "a/1", "a/2", "a/b/3"], []),
        ({"prefix": "a/"}, ["a/1", "a/2", "a/b/3"], []),
        ({"prefix": "no"}, [], []),
        ({"delimiter": "/"}, ["a", "c"], ["a/", "b/", "d/", "日本/"]),
        ({"prefix": "a/", "delimiter": "/"}, ["a/1", "a/2"], ["a/b/"]),
        ({"prefix": "d/", "delimiter": "/"}, ["d/", "d/5"], []),
        ({"prefix": "a", "delimiter": "/"}, ["a"], ["a/"]),
        (
            {"delimiter": "/", "include_trailing_delimiter": True},
            ["a", "c", "d/"],
            ["a/", "b/", "d/", "日本/"],
        ),
        ({"start_offset": "a/2", "end_offset": "c"}, ["a/2", "a/b/3", "b/4"], []),
        ({"start_offset": "b", "delimiter": "/"}, ["c"], ["b/", "d/", "日本/"]),
        ({"prefix": "a/", "start_offset": "a/2"}, ["a/2", "a/b/3"], []),
        ({"match_glob": "a/*"}, ["a/1", "a/2"], []),
        ({"match_glob": "a/**"}, ["a/1", "a/2", "a/b/3"], []),
        ({"match_glob": "?"}, ["a", "c"], []),
        ({"match_glob": "{a,b}/[2-4]"}, ["a/2", "b/4"], []),
        ({"max_results": 3}, TREE[:3], []),
    ],
)
@pytest.mark.parametrize("page_size", [None, 1, 2, 3])
def test_list(
    tree: Bucket,
    query: dict[str, Any],
    items: list[str],
    prefixes: list[str],
    page_size: int | None,
) -> None:
    """A list holds what was asked for, in the order of the names, whatever the pages' size."""
    found = tree.list_blobs(page_size=page_size, **query)

    assert names(found) == items
    assert sorted(found.prefixes) == sorted(prefixes)


def test_pages(tree: Bucket, raw: Raw) -> None:
    """No page has more entries than asked for, prefixes included, and a token leads on."""
    sizes, token = [], None
    while True:
        query = {"delimiter": "/", "maxResults": 2} | ({"pageToken": token} if token else {})
        page = raw.send("GET", "/storage/v1/b/tree/o", **query).json
        sizes.append(len(page.get("items", [])) + len(page.get("prefixes", [])))
        token = page.get("nextPageToken")
        if token is None:
            break

    assert sizes == [2, 2, 2]
    assert raw.send("GET", "/storage/v1/b/tree/o", pageToken="nonsense").status == 400


def test_list_while_it_changes(bucket: Bucket) -> None:
    """Objects that go while a list is being read cost it none of the others."""
    for number in range(10):
        put(bucket, f"{number}")
    seen = []
    for blob in bucket.list_blobs(page_size=2):
        seen.append(blob.name)
        blob.delete()

    assert seen == [str(number) for number in range(10)]
    assert names(bucket.list_blobs()) == []


# -- what is not there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/storage/v1/nothing", 404),
        ("GET", "/storage/v2/b", 404),
        ("PUT", "/storage/v1/b", 405),
        ("POST", "/upload/storage/v1/b/tree/o", 400),
        ("POST", "/upload/storage/v1/b/tree/o?uploadType=media", 400),
        ("POST", "/upload/storage/v1/b/tree/o?uploadType=other&name=x", 400),
        ("PUT", "/upload/storage/v1/b/tree/o?upload_id=unknown", 404),
        ("GET", "/storage/v1/b/tree/o/%FF", 400),
    ],
)
def test_wrong_addresses(tree: Bucket, raw: Raw, method: str, path: str, status: int) -> None:
    """An address or a method that means nothing is refused in the service's shape."""
    answer = raw.send(method, path)

    assert answer.status == status
    assert answer.json["error"]["code"] == status
    assert answer.json["error"]["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("192.0.2.7", 200),
        ("shop.example", 403),
        ("shop.example:8080", 403),
        ("127.0.0.1.shop.example", 403),
        ("localhost.shop.example", 403),
        ("127.0.0.1@shop.example", 403),
        ("[", 403),
    ],
)
def test_names_of_the_server(tree: Bucket, raw: Raw, host: str, status: int) -> None:
    """A request to another name is refused: a web page may have led that name to this machine."""
    answer = raw.send("GET", f"/storage/v1/b/{tree.name}/o", None, {"Host": host})

    assert answer.status == status
    assert (b"items" in answer.body) == (status == 200)
