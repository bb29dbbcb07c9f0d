"""Writes to a Firestore server: merges, transforms, preconditions, batches.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.field_path import FieldPath
from google.cloud.firestore_v1.transforms import Maximum, Minimum

from tests.conformance.firestore_helpers import fill

pytest_plugins = ["tests.conformance.firestore_servers"]


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
