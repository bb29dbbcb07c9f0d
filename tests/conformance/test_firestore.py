"""What a Firestore server has to do, as the unmodified clients see it.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_query import And, FieldFilter, Or
from google.cloud.firestore_v1.field_path import FieldPath
from google.cloud.firestore_v1.transforms import Maximum, Minimum
from google.cloud.firestore_v1.vector import Vector
from google.protobuf import timestamp_pb2
from grpc import StatusCode

from local.emulators.firestore import InUse, commits, names, serve, transactions, writes
from local.emulators.firestore.store import Store
from shared.firestore.bulk.existence import KnownDocuments
from shared.firestore.bulk.transport import COUNTED, CallFailed, Transport
from tests.conformance.firestore_servers import EMBEDDED, GOOGLE, connect, connect_async
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.conformance.firestore_servers"]

only_embedded = pytest.mark.parametrize("server", [EMBEDDED], indirect=True)

WAIT_SECONDS = PATIENCE


def ids(found: Any) -> list[str]:
    """The ids of what a query has found, in its order."""
    return [snapshot.id for snapshot in found]


def fill(db: Any, collection: str, documents: dict[str, dict[str, Any]]) -> Any:
    """Write documents by their ids; the collection."""
    batch = db.batch()
    target = db.collection(collection)
    for document_id, data in documents.items():
        batch.set(target.document(document_id), data)
    batch.commit()
    return target


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


# -- merging and field paths ----------------------------------------------------------------

BASE = {"a": {"b": 1, "c": 2}, "text": "x", "list": [1]}

MERGES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("whole", {"n": 1}, True, BASE | {"n": 1}),
    ("nested", {"a": {"b": 9}}, True, BASE | {"a": {"b": 9, "c": 2}}),
    ("empty map", {"a": {}}, ["a"], BASE | {"a": {}}),
    ("only the mask", {"a": {"b": 9, "c": 9}, "z": 1}, ["a.b"], BASE | {"a": {"b": 9, "c": 2}}),
    ("map replaced", {"a": {"z": 1}}, ["a"], BASE | {"a": {"z": 1}}),
    ("delete", {"text": firestore.DELETE_FIELD}, True, {"a": BASE["a"], "list": [1]}),
    ("delete nested", {"a": {"b": firestore.DELETE_FIELD}}, True, BASE | {"a": {"c": 2}}),
    ("delete what is not there", {"q": {"r": firestore.DELETE_FIELD}}, True, BASE),
    ("through a string", {"text": {"z": 1}}, ["text.z"], BASE | {"text": {"z": 1}}),
    ("through a list", {"list": {"z": 1}}, ["list.z"], BASE | {"list": {"z": 1}}),
    ("quoted", {"we.ird`\\": {"x y": 1}}, True, BASE | {"we.ird`\\": {"x y": 1}}),
]


@pytest.mark.parametrize(
    ("data", "merge", "expected"), [case[1:] for case in MERGES], ids=[case[0] for case in MERGES]
)
def test_merge(db: Any, data: dict[str, Any], merge: Any, expected: dict[str, Any]) -> None:
    """A merge sets and deletes the fields of its mask and no others."""
    document = db.document("shops/one")
    document.set(BASE)

    document.set(data, merge=merge)

    assert expected == document.get().to_dict()


def test_merge_creates(db: Any) -> None:
    """A merge into a document that does not exist creates it."""
    document = db.document("shops/new")

    document.set({"a": {"b": 1}}, merge=True)

    assert document.get().to_dict() == {"a": {"b": 1}}


def test_empty_merge_creates(db: Any) -> None:
    """A merge of nothing creates an empty document."""
    document = db.document("shops/new")

    document.set({}, merge=True)

    assert document.get().to_dict() == {}


def test_update_paths(db: Any) -> None:
    """Update takes dotted and quoted paths, down to a field of a map."""
    document = db.document("shops/one")
    document.set(BASE)
    odd = FieldPath("a", "with.dot").to_api_repr()

    document.update({"a.b": firestore.DELETE_FIELD, odd: 1, "n": {"x": 1}})

    assert document.get().to_dict() == BASE | {"a": {"c": 2, "with.dot": 1}, "n": {"x": 1}}


@pytest.mark.parametrize("path", ["a..b", "a-b", "__x__", "`a", "a.", "1a", "a b"])
def test_bad_mask_path(db: Any, path: str) -> None:
    """A mask with a path that is not one is refused with INVALID_ARGUMENT."""
    name = db.document("shops/one")._document_path
    write = types.Write(update={"name": name}, update_mask={"field_paths": [path]})

    with pytest.raises(exceptions.InvalidArgument, match="path"):
        db._firestore_api.commit(
            request={"database": db._database_string, "writes": [write]},
            metadata=db._rpc_metadata,
        )


# -- transforms -----------------------------------------------------------------------------

NOTHING = object()
TRANSFORMS: list[tuple[str, Any, Any, Any]] = [
    ("increment", 5, firestore.Increment(3), 8),
    ("increment by a float", 5, firestore.Increment(0.5), 5.5),
    ("increment of nothing", NOTHING, firestore.Increment(3), 3),
    ("increment of text", "x", firestore.Increment(3), 3),
    ("increment at the end", 2**63 - 2, firestore.Increment(5), 2**63 - 1),
    ("maximum", 5, Maximum(7), 7),
    ("maximum of equals", 3, Maximum(3.0), 3),
    ("maximum of mixed", 2, Maximum(2.5), 2.5),
    ("minimum", 5, Minimum(7), 5),
    ("minimum of nothing", NOTHING, Minimum(7), 7),
    ("union", [1, 2], firestore.ArrayUnion([2, 3, 3]), [1, 2, 3]),
    ("union of equals", [1], firestore.ArrayUnion([1.0]), [1]),
    ("union with text", "x", firestore.ArrayUnion([1]), [1]),
    ("union of maps", [{"a": 1}], firestore.ArrayUnion([{"a": 1}, {"a": 2}]), [{"a": 1}, {"a": 2}]),
    ("remove", [1, 2, 1, 3], firestore.ArrayRemove([1.0]), [2, 3]),
    ("remove from nothing", NOTHING, firestore.ArrayRemove([1]), []),
]


@pytest.mark.parametrize(
    ("stored", "transform", "expected"),
    [case[1:] for case in TRANSFORMS],
    ids=[case[0] for case in TRANSFORMS],
)
def test_transform(db: Any, stored: Any, transform: Any, expected: Any) -> None:
    """A transform computes the field from what is stored."""
    document = db.document("shops/one")
    document.set({} if stored is NOTHING else {"n": stored})

    document.update({"n": transform})
    found = document.get().get("n")

    assert expected == found
    assert type(expected) is type(found)


def test_server_timestamp(db: Any) -> None:
    """Server timestamps of one write are one moment, to the millisecond, before the write's end."""
    document = db.document("shops/one")

    document.set({"at": firestore.SERVER_TIMESTAMP, "m": {"at": firestore.SERVER_TIMESTAMP}})
    snapshot = document.get()

    assert snapshot.get("at") == snapshot.get("m.at")
    assert snapshot.get("at").microsecond % 1000 == 0
    assert snapshot.get("at") <= snapshot.update_time


def test_transform_results(db: Any) -> None:
    """The result of a write tells what its transforms have computed."""
    document = db.document("shops/one")
    document.set({"n": 1})

    result = document.update({"n": firestore.Increment(2)})

    assert [value.integer_value for value in result.transform_results] == [3]


def test_transform_with_merge(db: Any) -> None:
    """A merge with a transform leaves the other fields."""
    document = db.document("shops/one")
    document.set({"n": 1, "other": 1})

    document.set({"n": firestore.Increment(1), "new": 2}, merge=True)

    assert document.get().to_dict() == {"n": 2, "other": 1, "new": 2}


# -- preconditions and batches --------------------------------------------------------------


def test_last_update_time(db: Any) -> None:
    """A write with the last update time succeeds once, then is refused."""
    document = db.document("shops/one")
    document.set({"a": 1})
    option = db.write_option(last_update_time=document.get().update_time)

    document.update({"a": 2}, option=option)
    with pytest.raises(exceptions.FailedPrecondition, match="does not match"):
        document.update({"a": 3}, option=option)

    assert document.get().to_dict() == {"a": 2}


def test_delete_with_preconditions(db: Any) -> None:
    """A delete can require the document to exist, and its update time."""
    document = db.document("shops/one")
    with pytest.raises(exceptions.NotFound):
        document.delete(option=db.write_option(exists=True))
    document.set({"a": 1})
    stale = document.get().update_time
    document.set({"a": 2})

    with pytest.raises(exceptions.FailedPrecondition):
        document.delete(option=db.write_option(last_update_time=stale))

    assert document.get().exists


def test_batch_is_atomic(db: Any) -> None:
    """A batch with one bad write changes nothing at all."""
    db.document("shops/there").set({"a": 1})
    batch = db.batch()
    batch.set(db.document("shops/first"), {"a": 1})
    batch.create(db.document("shops/there"), {"a": 2})
    batch.delete(db.document("shops/there"))

    with pytest.raises(exceptions.AlreadyExists):
        batch.commit()

    assert not db.document("shops/first").get().exists
    assert db.document("shops/there").get().to_dict() == {"a": 1}


def test_batch_writes_a_document_twice(db: Any) -> None:
    """Writes of one batch to one document take effect in their order, as one update."""
    document = db.document("shops/one")
    batch = db.batch()
    batch.set(document, {"a": 1})
    batch.update(document, {"b": firestore.Increment(2)})
    batch.update(document, {"b": firestore.Increment(3)})

    first, _second, last = batch.commit()

    assert document.get().to_dict() == {"a": 1, "b": 5}
    assert first.update_time == last.update_time == document.get().update_time


def test_batch_shares_one_commit_time(db: Any) -> None:
    """All documents of a batch have one update time."""
    fill(db, "shops", {"a": {}, "b": {}, "c": {}})

    times = {snapshot.update_time for snapshot in db.collection("shops").stream()}

    assert len(times) == 1


def test_batch_of_more_than_five_hundred(db: Any) -> None:
    """A batch may have more than 500 writes, as the service allows today."""
    fill(db, "shops", {f"{number:04}": {"n": number} for number in range(620)})

    assert db.collection("shops").count().get()[0][0].value == 620


def batch_write(db: Any, *writes: types.Write) -> Any:
    return db._firestore_api.batch_write(
        request={"database": db._database_string, "writes": writes}, metadata=db._rpc_metadata
    )


def a_write(db: Any, path: str, *, exists: bool | None = None) -> types.Write:
    write = types.Write(
        update={
            "name": db.document(path)._document_path,
            "fields": {"a": types.Value(integer_value=1)},
        }
    )
    if exists is not None:
        write.current_document = types.Precondition(exists=exists)
    return write


def test_batch_write_is_not_atomic(db: Any) -> None:
    """BatchWrite answers each write with a status of its own, and the good ones are done."""
    db.document("shops/there").set({"b": 1})

    response = batch_write(
        db,
        a_write(db, "shops/there", exists=False),
        a_write(db, "shops/new"),
        a_write(db, "shops/none", exists=True),
    )

    assert [status.code for status in response.status] == [6, 0, 5]
    assert "exists" in response.status[0].message
    assert db.document("shops/new").get().update_time == response.write_results[1].update_time
    assert db.document("shops/there").get().to_dict() == {"b": 1}


def test_batch_write_of_a_document_twice(db: Any) -> None:
    """BatchWrite refuses two writes to one document, and does neither."""
    with pytest.raises(exceptions.InvalidArgument, match="more than once"):
        batch_write(db, a_write(db, "shops/one"), a_write(db, "shops/one"))

    assert not db.document("shops/one").get().exists


def test_batch_write_again_changes_nothing(db: Any) -> None:
    """BatchWrite of what is stored already succeeds with the old update time."""
    writes = [a_write(db, f"shops/{number}") for number in range(3)]
    first = batch_write(db, *writes)

    second = batch_write(db, *writes)

    assert [r.update_time for r in first.write_results] == [
        r.update_time for r in second.write_results
    ]


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


# -- queries --------------------------------------------------------------------------------

PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"age": 31, "city": "Perth", "tags": ["vip", "new"], "at": {"lat": 3}},
    "bob": {"age": 25, "city": "Hobart", "tags": ["new"], "at": {"lat": 1}},
    "cyd": {"age": 25.0, "city": "Perth", "tags": [], "at": {"lat": 2}},
    "dee": {"age": None, "city": "Cairns", "tags": "vip"},
    "eve": {"age": math.nan, "city": "Perth"},
    "fay": {"age": "old", "city": None},
    "gus": {"city": "Darwin", "tags": [None, "vip"]},
}


def where(field: str, operator: str, value: Any) -> Callable[[Any], Any]:
    return lambda people: people.where(filter=FieldFilter(field, operator, value))


def both(*filters: Any) -> Callable[[Any], Any]:
    return lambda people: people.where(filter=And([FieldFilter(*each) for each in filters]))


def either(*filters: Any) -> Callable[[Any], Any]:
    return lambda people: people.where(filter=Or([FieldFilter(*each) for each in filters]))


QUERIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("all", lambda people: people, "ann bob cyd dee eve fay gus"),
    ("==", where("age", "==", 25), "bob cyd"),
    ("== text", where("city", "==", "Perth"), "ann cyd eve"),
    ("== map", where("at", "==", {"lat": 2}), "cyd"),
    ("== array", where("tags", "==", ["new"]), "bob"),
    ("== null", where("age", "==", None), "dee"),
    ("== nan", where("age", "==", math.nan), "eve"),
    ("!=", where("age", "!=", 25), "eve ann fay"),
    ("!= null", where("age", "!=", None), "eve bob cyd ann fay"),
    ("!= nan", where("age", "!=", math.nan), "bob cyd ann fay"),
    ("<", where("age", "<", 31), "bob cyd"),
    ("<=", where("age", "<=", 31), "bob cyd ann"),
    (">", where("age", ">", 25), "ann"),
    (">= text", where("age", ">=", ""), "fay"),
    ("nested", where("at.lat", ">", 1), "cyd ann"),
    ("in", where("age", "in", [31, "old", None]), "ann fay"),
    ("not-in", where("age", "not-in", [25, "old"]), "eve ann"),
    ("not-in null", where("age", "not-in", [25, None]), ""),
    ("array-contains", where("tags", "array_contains", "new"), "ann bob"),
    ("array-contains-any", where("tags", "array_contains_any", ["vip", "x"]), "ann gus"),
    ("and", both(("city", "==", "Perth"), ("age", ">", 0)), "cyd ann"),
    ("and of ranges", both(("age", ">", 0), ("city", "<", "P")), "bob"),
    ("or", either(("age", "==", 31), ("city", "==", "Hobart")), "ann bob"),
    (
        "and of or",
        lambda people: people.where(
            filter=And(
                [
                    FieldFilter("city", "==", "Perth"),
                    Or([FieldFilter("age", "==", 31), FieldFilter("age", "==", 25)]),
                ]
            )
        ),
        "ann cyd",
    ),
    ("order", lambda people: people.order_by("age"), "dee eve bob cyd ann fay"),
    (
        "order descending",
        lambda people: people.order_by("age", direction="DESCENDING"),
        "fay ann cyd bob eve dee",
    ),
    (
        "order by two",
        lambda people: people.order_by("city", direction="DESCENDING").order_by("age"),
        "eve cyd ann bob dee fay",
    ),
    ("order nested", lambda people: people.order_by("at.lat"), "bob cyd ann"),
    (
        "range and another order",
        lambda people: where("age", ">", 0)(people).order_by("city", direction="DESCENDING"),
        "ann cyd bob",
    ),
    ("limit", lambda people: people.limit(2), "ann bob"),
    ("limit and order", lambda people: people.order_by("city").limit(2), "fay dee"),
    ("offset", lambda people: people.offset(5), "fay gus"),
    ("offset and limit", lambda people: people.order_by("age").offset(1).limit(2), "eve bob"),
    ("limit to last", lambda people: people.order_by("age").limit_to_last(2), "ann fay"),
    ("start at", lambda people: people.order_by("age").start_at({"age": 25}), "bob cyd ann fay"),
    ("start after", lambda people: people.order_by("age").start_after({"age": 25}), "ann fay"),
    (
        "end before",
        lambda people: people.order_by("age").end_before({"age": 25}),
        "dee eve",
    ),
    ("end at", lambda people: people.order_by("age").end_at({"age": 25}), "dee eve bob cyd"),
    (
        "cursors of two",
        lambda people: (
            people.order_by("city").order_by("age").start_at({"city": "Perth", "age": 25})
        ),
        "cyd ann",
    ),
    (
        "cursor descending",
        lambda people: people.order_by("age", direction="DESCENDING").start_after({"age": 31}),
        "cyd bob eve dee",
    ),
]


@pytest.fixture(scope="session")
def people_of() -> dict[str, Any]:
    """Clients with the people in them, by server: queries do not change them."""
    return {}


@pytest.fixture
def people(
    server: str, address: str, people_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    if server not in people_of:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        people_of[server] = fill(connect("test-queries"), "people", PEOPLE)
    return people_of[server]


@pytest.mark.parametrize(
    ("query", "expected"), [case[1:] for case in QUERIES], ids=[case[0] for case in QUERIES]
)
def test_query(people: Any, query: Callable[[Any], Any], expected: str) -> None:
    """A query finds the documents it means, in the order it means."""
    assert expected.split() == ids(query(people).get())


def test_order_of_types(db: Any) -> None:
    """Values of different types sort by type first."""
    ascending: list[Any] = [
        None,
        False,
        True,
        math.nan,
        -math.inf,
        -1,
        0.5,
        2**53,
        2**53 + 1,
        datetime(2020, 1, 1, tzinfo=UTC),
        "",
        "a",
        "\uffee",
        "😀",
        b"",
        db.document("a/b"),
        db.document("a/b/c/d"),
        firestore.GeoPoint(-1, 5),
        firestore.GeoPoint(1, 0),
        [],
        [1],
        [1, 2],
        [2],
        Vector([9.0]),
        Vector([1.0, 2.0]),
        {},
        {"a": 1},
        {"a": 1, "b": 0},
        {"a": 2},
        {"b": 0},
    ]
    shuffled = sorted(range(len(ascending)), key=lambda n: n * 7919 % 31)
    things = fill(db, "things", {f"{n:02}": {"v": ascending[n]} for n in shuffled})

    expected = [f"{n:02}" for n in range(len(ascending))]
    assert expected == ids(things.order_by("v").stream())
    assert expected[::-1] == ids(things.order_by("v", direction="DESCENDING").stream())


def test_cursor_from_snapshot(people: Any) -> None:
    """A document is a cursor, among documents of equal values as well."""
    bob = people.document("bob").get()

    assert ids(people.order_by("age").start_after(bob).stream()) == ["cyd", "ann", "fay"]
    assert ids(people.order_by("age").end_before(bob).stream()) == ["dee", "eve"]


def test_name_range(people: Any) -> None:
    """Documents can be queried by ranges of their names."""
    by_name = people.order_by("__name__")
    low, high = people.document("bob"), people.document("eve")

    found = by_name.where(filter=FieldFilter("__name__", ">", low)).where(
        filter=FieldFilter("__name__", "<=", high)
    )

    assert ids(found.stream()) == ["cyd", "dee", "eve"]
    assert ids(by_name.start_after({"__name__": "cyd"}).limit(2).stream()) == ["dee", "eve"]
    assert ids(
        people.where(
            filter=FieldFilter("__name__", "in", [people.document("gus"), people.document("ann")])
        ).stream()
    ) == ["ann", "gus"]


def test_one_of_some_names(db: Any) -> None:
    """Documents can be asked for by their names, in any order and with other conditions."""
    items = fill(db, "items", {str(n): {"n": n} for n in range(9)})
    db.document("items/3/items/1").set({"n": 7})
    wanted = [items.document(name) for name in ("7", "3", "x", "5")]
    named = items.where(filter=FieldFilter("__name__", "in", [*wanted, db.document("other/2")]))

    assert ids(named.stream()) == ["3", "5", "7"]
    assert ids(named.offset(1).limit(2).stream()) == ["5", "7"]
    assert ids(named.order_by("n", direction="DESCENDING").limit(2).stream()) == ["7", "5"]
    assert ids(named.where(filter=FieldFilter("n", "==", 5)).stream()) == ["5"]
    below = db.document("items/3/items/1")
    group = db.collection_group("items").where(
        filter=FieldFilter("__name__", "in", [below, items.document("4"), items.document("x")])
    )
    assert sorted(one.reference.path for one in group.stream()) == ["items/3/items/1", "items/4"]


def test_pages_by_name(db: Any) -> None:
    """Paging by the last name sees every document once."""
    expected = [f"{number:03}" for number in range(25)]
    items = fill(db, "items", {name: {"n": 1} for name in expected})
    page = items.order_by("__name__").limit(10)

    seen: list[str] = []
    while found := ids(page.stream()):
        seen += found
        page = page.start_after({"__name__": items.document(found[-1])})

    assert expected == seen


def test_select(people: Any) -> None:
    """A projection returns the fields it names, or the name alone."""
    ann = people.document("ann")

    some = people.select(["at.lat", "age"]).limit(1).get()[0]
    none = people.select([]).limit(1).get()[0]

    assert some.to_dict() == {"at": {"lat": 3}, "age": 31}
    assert (ann, {}) == (none.reference, none.to_dict())


def test_collection_group(db: Any) -> None:
    """A collection group query finds documents below any parent, ordered by their full names."""
    for path in ("b/1/items/1", "a/1/items/2", "a/1/items/2/items/0", "items/9", "a/1/itemsz/1"):
        db.document(path).set({"n": len(path)})

    group = db.collection_group("items")

    assert [snapshot.reference.path for snapshot in group.stream()] == [
        "a/1/items/2",
        "a/1/items/2/items/0",
        "b/1/items/1",
        "items/9",
    ]
    assert ids(group.where(filter=FieldFilter("n", ">", 11)).stream()) == ["0"]


def test_collection_sees_no_subcollections(db: Any) -> None:
    """A collection query does not see collections of the same id elsewhere."""
    db.document("items/1").set({})
    db.document("items/1/items/2").set({})

    assert ids(db.collection("items").stream()) == ["1"]
    assert ids(db.collection("items/1/items").stream()) == ["2"]


def test_partitions(server: str, db: Any) -> None:
    """The partitions of a group, run one after the other, are the whole group."""
    if server == GOOGLE:
        pytest.skip("Google's emulator does not implement PartitionQuery")
    expected = [f"{number:04}" for number in range(600)]
    fill(db, "a/1/items", {name: {} for name in expected})

    partitions = list(db.collection_group("items").get_partitions(3))

    assert len(partitions) == 4
    assert expected == [name for each in partitions for name in ids(each.query().stream())]


@pytest.mark.parametrize(
    "query",
    [
        where("age", "in", list(range(31))),
        where("age", "not-in", list(range(11))),
        where("age", "in", []),
        both(("age", "!=", 1), ("city", "!=", "x")),
        both(("age", "not-in", [1]), ("city", "in", ["x"])),
        both(("tags", "array_contains", "a"), ("tags", "array_contains", "b")),
        both(("age", "in", list(range(6))), ("city", "in", list("abcdef"))),
        lambda people: people.limit(-1),
    ],
    ids=[
        "in of 31",
        "not-in of 11",
        "in of none",
        "two negations",
        "not-in with in",
        "two array-contains",
        "36 disjunctions",
        "negative limit",
    ],
)
def test_bad_query(people: Any, query: Callable[[Any], Any]) -> None:
    """A query beyond the limits of the service is refused."""
    with pytest.raises(exceptions.InvalidArgument):
        query(people).get()


def test_descending_names(people: Any) -> None:
    """Scanning names backwards is refused, as the service does."""
    with pytest.raises(exceptions.FailedPrecondition, match="descending key scans"):
        people.order_by("__name__", direction="DESCENDING").get()


# -- aggregations ---------------------------------------------------------------------------


def aggregate(query: Any) -> dict[str, Any]:
    """The results of an aggregation by alias."""
    return {result.alias: result.value for results in query.get() for result in results}


def test_count(people: Any) -> None:
    """Counting counts what the query would find, within its limit."""
    assert aggregate(people.count(alias="n")) == {"n": 7}
    assert aggregate(people.limit(3).count(alias="n")) == {"n": 3}
    assert aggregate(people.offset(5).count(alias="n")) == {"n": 2}
    assert aggregate(where("city", "==", "Perth")(people).count(alias="n")) == {"n": 3}
    assert aggregate(people.order_by("age").count(alias="n")) == {"n": 6}


def test_count_of_named_documents(db: Any) -> None:
    """The loader counts documents by name, many groups at once, to learn which exist."""
    there = [str(number) for number in range(40)]
    fill(db, "connections/acme/customers", {key: {} for key in there})
    fill(db, "connections/other/customers", {"else": {}})
    transport = Transport(db)
    root = f"{transport.database}/documents/connections/acme/customers/"

    def count(*groups: list[str]) -> list[int]:
        return transport.count(
            [[root + key for key in group] for group in groups], timeout=PATIENCE
        )

    assert count(there[:30], there[30:], ["0", "else"], ["else"], ["-1", "39", "Ω", "a b"]) == [
        30,
        10,
        1,
        0,
        1,
    ]
    assert count() == []
    with pytest.raises(CallFailed) as failed:
        count(there[:3], [str(number) for number in range(COUNTED + 1)])
    assert failed.value.code is StatusCode.INVALID_ARGUMENT


def test_known_customers(db: Any) -> None:
    """Customers are found whether all, some or none of them exist."""
    there = [str(number) for number in range(0, 700, 7)]
    fill(db, "connections/acme/customers", {key: {} for key in there})
    known = KnownDocuments(Transport(db), "connections/acme/customers")

    asked = [*there, *(str(number) for number in range(300)), *(f"x{n}" for n in range(50))]

    assert known.look_up(dict.fromkeys(asked)) == {key: key in there for key in asked}


def test_sum_and_average(db: Any) -> None:
    """Sums and averages skip what is not a number and keep integers exact."""
    sales = fill(
        db, "sales", {"a": {"n": 2}, "b": {"n": 3}, "c": {"n": "x"}, "d": {"n": None}, "e": {}}
    )

    both = sales.sum("n", alias="s").avg("n", alias="a").count(alias="c")

    assert aggregate(both) == {"s": 5, "a": 2.5, "c": 4}


def test_aggregates_of_nothing(db: Any) -> None:
    """Nothing sums to 0 and has no average, for which the API says null."""
    query = db.collection("none").sum("n", alias="s").avg("n", alias="a").count(alias="c")

    (response,) = db._firestore_api.run_aggregation_query(
        request={
            "parent": f"{db._database_string}/documents",
            "structured_aggregation_query": query._to_protobuf(),
        },
        metadata=db._rpc_metadata,
    )
    fields = response.result.aggregate_fields

    assert [(alias, fields[alias]._pb.WhichOneof("value_type")) for alias in ("s", "a", "c")] == [
        ("s", "integer_value"),
        ("a", "null_value"),
        ("c", "integer_value"),
    ]
    assert fields["s"].integer_value == fields["c"].integer_value == 0


def test_sum_overflows_to_float(db: Any) -> None:
    """A sum that no longer fits 64 bits is a float."""
    sales = fill(db, "sales", {"a": {"n": 2**63 - 1}, "b": {"n": 2**63 - 1}})

    assert {"s": float(2**64)} == aggregate(sales.sum("n", alias="s"))


# -- transactions ---------------------------------------------------------------------------


def test_transaction_commits(db: Any) -> None:
    """A transaction reads, then writes all it has to."""
    document = db.document("counters/one")
    document.set({"n": 1})

    @firestore.transactional
    def add(transaction: Any) -> int:
        found = int(document.get(transaction=transaction).get("n"))
        transaction.update(document, {"n": found + 1})
        transaction.create(db.document("counters/two"), {"n": found})
        return found

    assert add(db.transaction()) == 1
    assert document.get().to_dict() == {"n": 2}
    assert db.document("counters/two").get().to_dict() == {"n": 1}


def test_transaction_rolls_back(db: Any) -> None:
    """An exception in a transaction leaves nothing behind."""
    document = db.document("counters/one")

    @firestore.transactional
    def fail(transaction: Any) -> None:
        transaction.set(document, {"n": 1})
        raise LookupError

    with pytest.raises(LookupError):
        fail(db.transaction())

    assert not document.get().exists


def test_transaction_failing_precondition(db: Any) -> None:
    """A transaction whose write is refused is not run again and changes nothing."""
    runs = []

    @firestore.transactional
    def create(transaction: Any) -> None:
        runs.append(1)
        transaction.set(db.document("counters/other"), {"n": 1})
        transaction.update(db.document("counters/none"), {"n": 1})

    with pytest.raises(exceptions.NotFound):
        create(db.transaction())

    assert runs == [1]
    assert not db.document("counters/other").get().exists


def test_read_only_transaction_is_a_snapshot(db: Any) -> None:
    """A read-only transaction sees one moment and refuses to write."""
    document = db.document("counters/one")
    document.set({"n": 1})
    transaction = db.transaction(read_only=True)
    transaction._begin()
    first = document.get(transaction=transaction).get("n")
    document.set({"n": 2})

    second = document.get(transaction=transaction).get("n")

    assert 1 == first == second
    with pytest.raises(ValueError, match="read-only"):
        transaction.set(document, {"n": 3})


def test_closed_transaction(db: Any) -> None:
    """A transaction that has ended cannot commit again."""
    transaction = db.transaction()
    transaction._begin()
    transaction_id = transaction.id
    transaction._commit()

    with pytest.raises(exceptions.InvalidArgument, match=r"no longer valid|invalid or closed"):
        db._firestore_api.commit(
            request={"database": db._database_string, "transaction": transaction_id},
            metadata=db._rpc_metadata,
        )


def begin(db: Any) -> Any:
    transaction = db.transaction()
    transaction._begin()
    return transaction


@only_embedded
def test_lost_update_is_aborted(db: Any) -> None:
    """Of two transactions that read a document and write it, the second is ABORTED.

    Google's emulator locks instead: there the outer write would wait for the transaction.
    """
    document = db.document("counters/one")
    document.set({"n": 1})
    transaction = begin(db)
    document.get(transaction=transaction)
    document.set({"n": 5})
    transaction.set(document, {"n": 2})

    with pytest.raises(exceptions.Aborted):
        transaction._commit()

    assert document.get().to_dict() == {"n": 5}


@only_embedded
def test_read_of_missing_document_is_checked(db: Any) -> None:
    """A document that a transaction found missing must still be missing when it commits."""
    document = db.document("counters/one")
    transaction = begin(db)
    document.get(transaction=transaction)
    document.set({"n": 5})
    transaction.set(db.document("counters/other"), {"n": 2})

    with pytest.raises(exceptions.Aborted):
        transaction._commit()

    assert not db.document("counters/other").get().exists


PHANTOMS: list[tuple[str, Callable[[Any], Any], bool]] = [
    ("new result", lambda db: db.document("jobs/new").set({"state": "open"}), True),
    ("lost result", lambda db: db.document("jobs/a").update({"state": "done"}), True),
    ("changed result", lambda db: db.document("jobs/a").update({"x": 1}), True),
    ("deleted result", lambda db: db.document("jobs/a").delete(), True),
    ("not a result", lambda db: db.document("jobs/other").set({"state": "done"}), False),
    ("not there", lambda db: db.document("other/a").set({"state": "open"}), False),
]


@only_embedded
@pytest.mark.parametrize(
    ("change", "conflicts"),
    [case[1:] for case in PHANTOMS],
    ids=[case[0] for case in PHANTOMS],
)
@pytest.mark.parametrize("count", [False, True], ids=["query", "count"])
def test_phantoms(db: Any, change: Callable[[Any], Any], conflicts: bool, count: bool) -> None:
    """A transaction is ABORTED exactly if what it has queried would be found otherwise now."""
    if count and change is PHANTOMS[2][1]:
        # The same number of results is the same count, whatever is in them.
        conflicts = False
    jobs = fill(db, "jobs", {"a": {"state": "open"}, "b": {"state": "done"}})
    query = where("state", "==", "open")(jobs)
    transaction = begin(db)
    found = query.count().get(transaction=transaction) if count else query.get(transaction)
    assert (found[0][0].value if count else len(found)) == 1
    change(db)
    transaction.set(db.document("jobs/written"), {"state": "done"})

    if conflicts:
        with pytest.raises(exceptions.Aborted):
            transaction._commit()
    else:
        transaction._commit()

    assert conflicts != db.document("jobs/written").get().exists


@only_embedded
def test_transaction_reads_one_moment(db: Any) -> None:
    """What a transaction reads later is as it was when it first read."""
    fill(db, "counters", {"one": {"n": 1}, "two": {"n": 1}})
    transaction = begin(db)
    db.document("counters/one").get(transaction=transaction)
    fill(db, "counters", {"one": {"n": 2}, "two": {"n": 2}})

    assert db.document("counters/two").get(transaction=transaction).get("n") == 1
    assert [
        snapshot.get("n") for snapshot in db.collection("counters").get(transaction=transaction)
    ] == [1, 1]


def increment(db: Any, path: str, *, times: int) -> None:
    """Add one in transactions of their own."""
    document = db.document(path)

    @firestore.transactional
    def add(transaction: Any) -> None:
        found = document.get(transaction=transaction)
        transaction.set(document, {"n": (found.get("n") if found.exists else 0) + 1})

    for _ in range(times):
        add(db.transaction())


CONTENTION = [
    pytest.param(EMBEDDED, 8, 25, id=EMBEDDED),
    pytest.param(GOOGLE, 2, 3, id=GOOGLE, marks=pytest.mark.google_emulator),
]


@pytest.mark.parametrize(("server", "threads", "times"), CONTENTION, indirect=["server"])
def test_no_increment_is_lost(db: Any, threads: int, times: int) -> None:
    """Increments by transactions at the same time all count."""
    with ThreadPoolExecutor(threads) as pool:
        for done in [
            pool.submit(increment, db, "counters/one", times=times) for _ in range(threads)
        ]:
            done.result()

    assert {"n": threads * times} == db.document("counters/one").get().to_dict()


@only_embedded
def test_transactions_crosswise(db: Any) -> None:
    """Transactions that read two documents in opposite orders all get through."""
    fill(db, "accounts", {"a": {"n": 100}, "b": {"n": 100}})

    def move(source: str, target: str) -> None:
        first, second = db.document(f"accounts/{source}"), db.document(f"accounts/{target}")

        @firestore.transactional
        def run(transaction: Any) -> None:
            here = first.get(transaction=transaction).get("n")
            there = second.get(transaction=transaction).get("n")
            transaction.update(first, {"n": here - 1})
            transaction.update(second, {"n": there + 1})

        for _ in range(10):
            run(db.transaction(max_attempts=20))

    with ThreadPoolExecutor(4) as pool:
        moves = [("a", "b"), ("b", "a"), ("a", "b"), ("a", "b")]
        for done in [pool.submit(move, *each) for each in moves]:
            done.result()

    assert [s.get("n") for s in db.collection("accounts").stream()] == [80, 120]


@only_embedded
def test_only_one_claims(db: Any) -> None:
    """Of many that claim what a query finds free, in transactions, each gets another one."""
    slots = fill(db, "slots", {f"{n}": {"free": True} for n in range(6)})

    def claim(_number: int) -> str:
        @firestore.transactional
        def run(transaction: Any) -> str:
            free = where("free", "==", True)(slots).limit(1).get(transaction=transaction)
            transaction.update(free[0].reference, {"free": False})
            return str(free[0].id)

        return str(run(db.transaction(max_attempts=20)))

    with ThreadPoolExecutor(6) as pool:
        claimed = list(pool.map(claim, range(6)))

    assert sorted(claimed) == ["0", "1", "2", "3", "4", "5"]


# -- the asynchronous client ----------------------------------------------------------------


def test_async_client(db: Any, project: str) -> None:
    """The asynchronous client writes, reads, queries, counts and streams alike."""

    async def run() -> tuple[Any, ...]:
        client = connect_async(project)
        try:
            shops = client.collection("shops")
            await asyncio.gather(*(shops.document(f"{n}").set({"n": n}) for n in range(20)))
            one = await shops.document("7").get()
            found = [s.id async for s in where("n", ">=", 17)(shops).stream()]
            count = await shops.count().get()
            many = [s.exists async for s in client.get_all([shops.document("1")])]
            return one.to_dict(), found, count[0][0].value, many
        finally:
            client.close()

    assert asyncio.run(run()) == ({"n": 7}, ["17", "18", "19"], 20, [True])


def test_async_transaction(db: Any, project: str) -> None:
    """Transactions of the asynchronous client lose no update either."""

    async def run() -> None:
        client = connect_async(project)
        document = client.document("counters/one")

        @firestore.async_transactional
        async def add(transaction: Any) -> None:
            found = await document.get(transaction=transaction)
            transaction.set(document, {"n": (found.get("n") if found.exists else 0) + 1})

        try:
            for _ in range(3):
                await add(client.transaction())
        finally:
            client.close()

    asyncio.run(run())

    assert db.document("counters/one").get().to_dict() == {"n": 3}


# -- listening ------------------------------------------------------------------------------


class Watched:
    """What a snapshot callback was told, to wait for."""

    def __init__(self) -> None:
        self._told: queue.Queue[list[str]] = queue.Queue()
        self.changes: list[str] = []

    def __call__(self, documents: Any, changes: Any, _read_time: Any) -> None:
        self.changes += [f"{change.type.name} {change.document.id}" for change in changes]
        self._told.put([f"{d.id}={d.get('n')}" for d in documents if d.exists])

    def next(self) -> list[str]:
        """Wait for the next snapshot."""
        return self._told.get(timeout=WAIT_SECONDS)

    def until(self, expected: list[str]) -> None:
        """Wait for a snapshot of these documents."""
        last: list[str] | None = None
        deadline = time.monotonic() + WAIT_SECONDS
        while last != expected:
            try:
                last = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"last told {last}, not {expected}") from None


@pytest.fixture
def watch() -> Iterator[Callable[[Any], Watched]]:
    """Listens to a document or a query until the end of the test."""
    started = []

    def start(target: Any) -> Watched:
        watched = Watched()
        started.append(target.on_snapshot(watched))
        return watched

    yield start
    for each in started:
        each.unsubscribe()


def test_watch_document(db: Any, watch: Callable[[Any], Watched]) -> None:
    """A listener is told of a document as it is, and of its changes and its end."""
    document = db.document("shops/one")

    watched = watch(document)
    watched.until([])
    document.set({"n": 1})
    watched.until(["one=1"])
    document.set({"n": 2})
    watched.until(["one=2"])
    document.delete()
    watched.until([])

    assert watched.changes == ["ADDED one", "MODIFIED one", "REMOVED one"]


def test_watch_query(db: Any, watch: Callable[[Any], Watched]) -> None:
    """A listener is told what enters, changes in and leaves a query."""
    shops = fill(db, "shops", {"a": {"n": 1}, "b": {"n": 5}})

    watched = watch(shops.where(filter=FieldFilter("n", ">", 2)).order_by("n"))
    watched.until(["b=5"])
    shops.document("a").set({"n": 3})
    watched.until(["a=3", "b=5"])
    shops.document("a").set({"n": 9})
    watched.until(["b=5", "a=9"])
    shops.document("b").set({"n": 0})
    watched.until(["a=9"])
    shops.document("a").delete()
    watched.until([])


def test_watch_limit(db: Any, watch: Callable[[Any], Watched]) -> None:
    """A listener to a limited query is told who comes in when another goes."""
    shops = fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}})

    watched = watch(shops.order_by("n").limit(2))
    watched.until(["a=1", "b=2"])
    shops.document("0").set({"n": 0})
    watched.until(["0=0", "a=1"])
    shops.document("0").delete()
    watched.until(["a=1", "b=2"])


def test_watch_batch_is_one_snapshot(db: Any, watch: Callable[[Any], Watched]) -> None:
    """What is committed together is told together."""
    watched = watch(db.collection("shops").order_by("n"))
    watched.until([])

    fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}})

    assert watched.next() == ["a=1", "b=2"]


@only_embedded
def test_watch_resumes(db: Any) -> None:
    """With a resume token a listener is told only what has changed since.

    Google's emulator sends everything again.
    """
    shops = fill(db, "shops", {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}})
    target = {
        "query": {
            "parent": f"{db._database_string}/documents",
            "structured_query": shops.order_by("n")._to_protobuf(),
        },
        "target_id": 5,
    }
    token = next(
        response.target_change.resume_token
        for response in listen(db, target)
        if response.target_change.resume_token
    )
    fill(db, "shops", {"b": {"n": 20}, "d": {"n": 4}})
    shops.document("a").delete()

    told = []
    for response in listen(db, target | {"resume_token": token}):
        if response.document_change.document.name:
            told.append("changed " + response.document_change.document.name[-1])
        elif response.document_delete.document:
            told.append("deleted " + response.document_delete.document[-1])
        elif response.target_change.resume_token:
            break

    assert told == ["changed d", "changed b", "deleted a"]


def listen(db: Any, target: dict[str, Any]) -> Iterator[Any]:
    """The responses to a listener that adds one target; the call ends with the iterator."""
    over = threading.Event()

    def requests() -> Iterator[Any]:
        yield types.ListenRequest(database=db._database_string, add_target=target)
        over.wait(WAIT_SECONDS)

    call = db._firestore_api._transport.listen(requests(), metadata=db._rpc_metadata)
    try:
        yield from call
    finally:
        over.set()
        call.cancel()


# -- the embedded server itself -------------------------------------------------------------


def test_restart_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is stopped and started again has all its documents and their times."""
    with serve(data=tmp_path) as first:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", first.address)
        db = connect("test-restart")
        fill(db, "shops/1/orders", {"a": {"n": 1}, "b": {"n": 2}})
        before = db.document("shops/1/orders/a").get()
        db.close()

    with serve(data=tmp_path) as second:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", second.address)
        db = connect("test-restart")
        after = db.document("shops/1/orders/a").get()
        everything = ids(db.collection_group("orders").stream())
        later = db.document("shops/1/orders/c").set({"n": 3}).update_time
        db.close()

    assert (before.to_dict(), before.create_time) == (after.to_dict(), after.create_time)
    assert everything == ["a", "b"]
    assert later > before.update_time


def test_folder_belongs_to_one_server(tmp_path: Path) -> None:
    """A second server on the same folder is refused."""
    with serve(data=tmp_path), pytest.raises(InUse):
        serve(data=tmp_path)


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


def put(store: Store, path: str, number: int | None) -> int:
    """Set a document, or delete it, right in a store; the version of the commit."""
    name = f"projects/p/databases/d/documents/{path}"
    message = types.Write(delete=name) if number is None else types.Write(update={"name": name})
    if number is not None:
        message.update.fields["n"] = types.Value(integer_value=number)
    write = writes.parse(message._pb, database="projects/p/databases/d")
    return commits.commit(store, [write]).version


def test_versions_never_repeat(tmp_path: Path) -> None:
    """Versions rise with every commit, on a clock that stands still or goes back as well."""
    clock = Clock()
    store = Store(tmp_path, now=clock)

    versions = [put(store, "a/1", 1), put(store, "a/1", 2)]
    clock.seconds -= 1000
    versions += [store.now(), put(store, "a/2", 1)]
    store.close()
    store = Store(tmp_path, now=clock)
    versions.append(put(store, "a/3", 1))
    store.close()

    assert versions == sorted(versions)
    assert len({*versions}) == 4


def test_old_versions_are_dropped(tmp_path: Path) -> None:
    """What was replaced or deleted can be read for an hour; then it no longer takes room."""
    clock = Clock()
    store = Store(tmp_path, now=clock)
    document = names.parse_document("projects/p/databases/d/documents/a/1")
    first = put(store, "a/1", 1)
    clock.seconds += 10
    put(store, "a/1", 2)
    clock.seconds += 10
    put(store, "a/1", None)

    clock.seconds += 3500
    put(store, "a/2", 1)
    within = store.reader(first).get(document)
    clock.seconds += 600
    put(store, "a/2", 2)
    after = store.reader(first).get(document)
    store.close()

    assert within is not None
    assert after is None
    assert store.oldest() > first


def test_abandoned_transaction(db: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction whose client has gone holds others up for a limited time only."""
    if server == GOOGLE:
        pytest.skip("Google's emulator waits for half a minute")
    monkeypatch.setattr(transactions, "STALE_SECONDS", 1.0)
    db.document("counters/one").set({"n": 1})
    db.document("counters/one").get(transaction=begin(db))

    increment(db, "counters/one", times=2)

    assert db.document("counters/one").get().to_dict() == {"n": 3}


def test_taken_port_is_refused(embedded_address: str) -> None:
    """A server on a port that is taken is refused."""
    port = int(embedded_address.rpartition(":")[2])

    with pytest.raises(OSError, match=f"Port {port}"):
        serve(port=port)


class Process:
    """The embedded server as a process of its own."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.emulators.firestore", "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        match = re.search(r"listens on (\S+),", said)
        assert match is not None, said
        self.address = match.group(1)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; the exit code."""
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        self._process.communicate(timeout=WAIT_SECONDS)
        return self._process.returncode


def test_kill_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was acknowledged before `kill -9` in the middle of writing is there afterwards."""
    first = Process(tmp_path)
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", first.address)
    db = connect("test-kill")
    acknowledged: list[int] = []
    enough = threading.Event()

    def write() -> None:
        for number in range(100_000):
            try:
                db.document(f"items/{number}").set({"n": number}, retry=None, timeout=PATIENCE)
            except exceptions.GoogleAPICallError:
                return
            acknowledged.append(number)
            if number == 200:
                enough.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            assert enough.wait(WAIT_SECONDS)
        finally:
            first.end(signal.SIGKILL)
        writing.result()
    db.close()
    second = Process(tmp_path)
    try:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", second.address)
        db = connect("test-kill")
        found = {snapshot.get("n") for snapshot in db.collection("items").stream()}
        db.close()
    finally:
        code = second.end(signal.SIGTERM)

    assert set(acknowledged) <= found
    assert len(found) <= len(acknowledged) + 1
    assert code == 0


def test_many_documents(embedded_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of several megabytes come whole, in order and by count."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", embedded_address)
    db = connect("test-many")
    expected = [f"{number:05}" for number in range(3000)]
    for start in range(0, 3000, 500):
        fill(db, "items", {name: {"text": "x" * 1500} for name in expected[start : start + 500]})

    items = db.collection("items")
    found = ids(items.stream())
    wanted = [items.document(name) for name in expected]
    existing = sum(snapshot.exists for snapshot in db.get_all(wanted))
    count = items.count().get()[0][0].value
    db.close()

    assert expected == found
    assert 3000 == existing == count


def test_request_over_the_limit(embedded_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of more than the service takes is refused with INVALID_ARGUMENT."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", embedded_address)
    db = connect("test-large")
    batch = db.batch()
    for number in range(13):
        batch.set(db.document(f"items/{number}"), {"text": "x" * 1_000_000})

    with pytest.raises(exceptions.InvalidArgument, match="payload size exceeds the limit"):
        batch.commit()

    db.close()
