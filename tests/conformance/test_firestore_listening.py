"""Listening to a Firestore server: what a client that watches is told.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.conformance.firestore_helpers import fill, only_embedded
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.conformance.firestore_servers"]


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
        return self._told.get(timeout=PATIENCE)

    def until(self, expected: list[str]) -> None:
        """Wait for a snapshot of these documents."""
        last: list[str] | None = None
        deadline = time.monotonic() + PATIENCE
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
        over.wait(PATIENCE)

    call = db._firestore_api._transport.listen(requests(), metadata=db._rpc_metadata)
    try:
        yield from call
    finally:
        over.set()
        call.cancel()
