"""Documents in a Firestore server: what survives, what is refused, what is read.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.vector import Vector
from google.protobuf import timestamp_pb2

from tests.conformance.firestore_helpers import fill, ids
from tests.conformance.firestore_servers import connect

pytest_plugins = ["tests.conformance.firestore_servers"]


# -- documents ------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "int": 2**62 + 1,
    "negative": -(2**63),
    "float": 1.5,
    "text": "Zoë 😀\n\u0000",
    "empty": "",
    "bytes": b"\x00\xff",
    "time": datetime(2023, 4, 24, 20, 12, 30, 123456, tzinfo=UTC),
    "early": datetime(1, 1, 1, tzinfo=UTC),
    "geo": firestore.GeoPoint(-37.8, 144.9),
    "list": [1, "a", {"b": [2]}],
    "map": {"a.b": {"c": {}}, "`": 1},
    "vector": Vector([1.0, 2.5]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_survive(db: Any, name: str) -> None:
    """A value of every type comes back as it was written."""
    document = db.document("values/one")

    document.set({"field": VALUES[name]})

    assert VALUES[name] == document.get().get("field")


def test_nan_survives(db: Any) -> None:
    """NaN and the infinities come back as they were written."""
    document = db.document("values/nan")

    document.set({"nan": math.nan, "inf": math.inf, "minus": -math.inf})
    found = document.get().to_dict()

    assert math.isnan(found.pop("nan"))
    assert found == {"inf": math.inf, "minus": -math.inf}


def test_reference_survives(db: Any) -> None:
    """A reference comes back as a reference to the same document."""
    other = db.document("shops/melbourne")
    document = db.document("values/reference")

    document.set({"shop": other})

    assert other == document.get().get("shop")


def test_nanoseconds_are_cut(db: Any) -> None:
    """A time is kept to the microsecond, rounded down."""
    document = db.document("values/nanos")
    write = types.Write(update={"name": document._document_path})
    write.update.fields["at"] = types.Value(
        timestamp_value=timestamp_pb2.Timestamp(seconds=5, nanos=1999)
    )

    db._firestore_api.commit(
        request={"database": db._database_string, "writes": [write]}, metadata=db._rpc_metadata
    )

    assert datetime(1970, 1, 1, 0, 0, 5, 1, tzinfo=UTC) == document.get().get("at")


def test_missing_document(db: Any) -> None:
    """A document that was never written does not exist, which is no error."""
    snapshot = db.document("shops/none").get()

    assert not snapshot.exists
    assert snapshot.to_dict() is None
    assert snapshot.read_time is not None


def test_set_replaces(db: Any) -> None:
    """Set replaces the whole document and keeps its create time."""
    document = db.document("shops/one")
    document.set({"a": 1, "b": 2})
    before = document.get()

    document.set({"c": 3})
    after = document.get()

    assert after.to_dict() == {"c": 3}
    assert before.create_time == after.create_time
    assert before.update_time < after.update_time


def test_new_document_times(db: Any) -> None:
    """A new document was created when it was last updated, which the write's result tells."""
    document = db.document("shops/one")

    result = document.set({"a": 1})
    snapshot = document.get()

    assert snapshot.create_time == snapshot.update_time == result.update_time


def test_write_of_the_same_keeps_update_time(db: Any) -> None:
    """A write that changes nothing keeps the update time."""
    document = db.document("shops/one")
    document.set({"a": 1, "nan": math.nan, "m": {"x": 1, "y": [1]}})
    before = document.get().update_time

    result = document.set({"m": {"y": [1], "x": 1}, "nan": math.nan, "a": 1})

    assert before == document.get().update_time == result.update_time


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (0.0, -0.0), ("a", b"a"), ([], {})])
def test_similar_value_is_a_change(db: Any, old: Any, new: Any) -> None:
    """A value that only compares equal, such as 1.0 for 1, is a change."""
    document = db.document("shops/one")
    document.set({"a": old})
    before = document.get().update_time

    document.set({"a": new})
    after = document.get()

    assert before < after.update_time
    assert type(after.get("a")) is type(new)


def test_create(db: Any) -> None:
    """Create refuses a document that exists with ALREADY_EXISTS and leaves it alone."""
    document = db.document("shops/one")
    document.create({"a": 1})

    with pytest.raises(exceptions.AlreadyExists):
        document.create({"a": 2})

    assert document.get().to_dict() == {"a": 1}


def test_update_needs_the_document(db: Any) -> None:
    """Update refuses a document that does not exist with NOT_FOUND."""
    with pytest.raises(exceptions.NotFound):
        db.document("shops/none").update({"a": 1})


def test_delete(db: Any) -> None:
    """A deleted document is gone, and deleting it again is no error."""
    document = db.document("shops/one")
    document.set({"a": 1})

    document.delete()
    document.delete()

    assert not document.get().exists


def test_deleted_and_written_again(db: Any) -> None:
    """A document that is deleted and written again is a new one."""
    document = db.document("shops/one")
    document.set({"a": 1})
    before = document.get().create_time
    document.delete()

    document.set({"a": 1})

    assert before < document.get().create_time


def test_delete_leaves_subcollections(db: Any) -> None:
    """Deleting a document leaves the documents below it."""
    db.document("shops/one").set({})
    db.document("shops/one/orders/7").set({"a": 1})

    db.document("shops/one").delete()

    assert db.document("shops/one/orders/7").get().exists


def test_add_makes_an_id(db: Any) -> None:
    """Documents that are added get ids of their own."""
    _, first = db.collection("shops").add({"a": 1})
    _, second = db.collection("shops").add({"a": 2})

    assert first.id != second.id
    assert second.get().to_dict() == {"a": 2}


def test_databases_are_apart(db: Any, project: str) -> None:
    """Databases of one project do not see each other's documents."""
    db.document("shops/one").set({"a": 1})

    other = connect(project, database="other")
    seen = other.document("shops/one").get().exists
    other.close()

    assert not seen


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("document_id", [".", "..", "__x__", "x" * 1501])
def test_bad_id(db: Any, document_id: str) -> None:
    """An id that is `.`, `..`, `__…__` or over 1,500 bytes is refused."""
    with pytest.raises(exceptions.InvalidArgument):
        db.collection("shops").document(document_id).set({"a": 1})


@pytest.mark.parametrize("document_id", ["x" * 1500, "a b", "__id7__", "é\u0000", "__", "~"])
def test_odd_id(db: Any, document_id: str) -> None:
    """An odd but allowed id names a document like any other."""
    document = db.collection("shops").document(document_id)

    document.set({"a": 1})

    assert [document_id] == ids(db.collection("shops").stream())


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"__x__": 1}, "reserved"),
        ({"m": {"__x__": 1}}, "reserved"),
        ({"x" * 1501: 1}, "longer than 1500 bytes"),
        ({"a": firestore.GeoPoint(91, 0)}, "latitude"),
        ({"a": "x" * 1_048_488}, "longer than 1048487 bytes"),
        ({"a": "x" * 600_000, "b": "y" * 600_000}, "maximum entity size is 1048576 bytes"),
    ],
    ids=["reserved", "reserved below", "long name", "geo point", "long value", "large"],
)
def test_bad_data(db: Any, data: dict[str, Any], told: str) -> None:
    """Data that cannot be stored is refused, saying why."""
    with pytest.raises(exceptions.InvalidArgument, match=told):
        db.document("shops/one").set(data)


def test_array_in_array(db: Any) -> None:
    """An array directly inside an array is refused."""
    with pytest.raises(exceptions.InvalidArgument, match="array"):
        db.document("shops/one").set({"a": [[1]]})


@pytest.mark.parametrize(("depth", "allowed"), [(20, True), (21, False)])
def test_depth(db: Any, depth: int, allowed: bool) -> None:
    """Maps may be twenty deep, not more."""
    data: Any = 1
    for _ in range(depth):
        data = {"m": data}
    document = db.document("shops/one")

    if allowed:
        document.set({"a": data})
    else:
        with pytest.raises(exceptions.InvalidArgument, match="nested"):
            document.set({"a": data})

    assert allowed == document.get().exists


def test_largest_document(db: Any) -> None:
    """A value of 1,048,487 bytes still fits."""
    document = db.document("f/big")

    document.set({"a": "x" * 1_048_487})

    assert len(document.get().get("a")) == 1_048_487


@pytest.mark.parametrize("name", ["shops", "shops/one/orders", "shops//", ""])
def test_bad_name(db: Any, name: str) -> None:
    """A name that is not a document's is refused."""
    with pytest.raises(exceptions.InvalidArgument, match="Document name"):
        db._firestore_api.get_document(
            request={"name": f"{db._database_string}/documents/{name}" if name else ""},
            metadata=db._rpc_metadata,
        )


# -- reading --------------------------------------------------------------------------------


def test_get_all(db: Any) -> None:
    """Many documents are read in one call, those that do not exist among them."""
    fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}})
    wanted = [db.document(f"shops/{name}") for name in ("b", "none", "a", "a")]

    found = {snapshot.id: snapshot.to_dict() for snapshot in db.get_all(wanted)}

    assert found == {"a": {"n": 1}, "b": {"n": 2}, "none": None}


def test_field_mask(db: Any) -> None:
    """A mask reads the fields it names, down to a field of a map."""
    document = db.document("shops/one")
    document.set({"a": {"b": 1, "c": 2}, "x": 1, "q.r": 1})

    assert document.get(["a.b", "none", "x.y", "`q.r`"]).to_dict() == {"a": {"b": 1}, "q.r": 1}


def test_field_mask_of_many(db: Any) -> None:
    """A mask of nothing that is there still tells that the documents exist."""
    fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}})
    wanted = [db.document("shops/a"), db.document("shops/b")]

    assert [s.to_dict() for s in db.get_all(wanted, field_paths=["none"])] == [{}, {}]


def test_read_time(db: Any) -> None:
    """A document can be read as it was, before it was changed and before it was there."""
    document = db.document("shops/one")
    document.set({"a": 1})
    first = document.get().update_time
    document.set({"a": 2})
    document.delete()

    before = document.get(read_time=first)
    earlier = document.get(read_time=first - timedelta(microseconds=1))

    assert before.to_dict() == {"a": 1}
    assert not earlier.exists
    assert not document.get().exists


def test_query_at_read_time(db: Any) -> None:
    """A query can be run on things as they were."""
    shops = fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}})
    then = db.document("shops/a").get().update_time
    db.document("shops/a").delete()
    db.document("shops/b").update({"n": 9})
    db.document("shops/d").set({"n": 4})

    found = list(shops.order_by("n", direction="DESCENDING").stream(read_time=then))

    assert [(s.id, s.get("n")) for s in found] == [("c", 3), ("b", 2), ("a", 1)]


def test_list_documents(db: Any) -> None:
    """Listing shows documents and the missing ones that only have something below them."""
    fill(db, "shops", {"a": {}, "c": {}})
    db.document("shops/b/orders/1/lines/1").set({})

    assert [d.id for d in db.collection("shops").list_documents()] == ["a", "b", "c"]
    assert [d.id for d in db.collection("shops").list_documents(page_size=2)] == ["a", "b", "c"]


def test_collections(db: Any) -> None:
    """Collections are listed at the root and below a document, existing or not."""
    db.document("shops/a/orders/1").set({})
    db.document("shops/a/staff/1").set({})
    db.document("other/a").set({})
    db.document("gone/a").set({})
    db.document("gone/a").delete()

    assert [c.id for c in db.collections()] == ["other", "shops"]
    assert [c.id for c in db.document("shops/a").collections()] == ["orders", "staff"]
    assert list(db.document("shops/b").collections()) == []
