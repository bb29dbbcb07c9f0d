"""The record that a feed keeps of arrivals and of the last file that was loaded."""

from __future__ import annotations

from datetime import timedelta

from shared.ledger.feeds import ARRIVALS_KEPT, Feed, Success
from tests.support.imports import at

FIRST = at("00:00")


def test_arrivals() -> None:
    """The last arrivals are kept, the newest last."""
    feed = Feed(connection="au", type="customers")
    for hour in range(ARRIVALS_KEPT + 3):
        feed = feed.arrived(f"file-{hour}", FIRST + timedelta(hours=hour))

    assert len(feed.arrivals) == ARRIVALS_KEPT
    assert feed.arrivals[-1] == feed.received_at == FIRST + timedelta(hours=ARRIVALS_KEPT + 2)
    assert feed.uploaded == f"file-{ARRIVALS_KEPT + 2}"


def test_the_newest_upload_counts() -> None:
    """An older upload that ends later, as a replay does, is not the last success."""
    newer = Success(import_id="b", uploaded_at=at("12:00"), rejected=2)
    feed = Feed(connection="au", type="customers").loaded(newer)

    assert feed == feed.loaded(Success(import_id="a", uploaded_at=at("11:00")))
    again = Success(import_id="b", uploaded_at=at("12:00"))
    assert feed.loaded(again).success == again


def test_document() -> None:
    """A feed is read as it was written, and one of an earlier version without the new fields."""
    feed = Feed(connection="au", type="customers").arrived("a", at("10:00"))
    feed = feed.loaded(Success(import_id="a", uploaded_at=at("10:00"), rejected=1))
    document = feed.to_document()

    assert feed == Feed.from_document(connection="au", type="customers", data=document)
    assert document["success"] == {"import": "a", "uploadedAt": at("10:00"), "rejected": 1}
    for name in ("arrivals", "success"):
        del document[name]
    older = Feed.from_document(connection="au", type="customers", data=document)
    assert (older.arrivals, older.success, older.uploaded) == ((), None, "a")
