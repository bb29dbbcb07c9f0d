"""Transactions of the ledger over the real client: what they read, write, retry and call."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.cloud import firestore

from benchmarks.intercepting import intercepted
from shared.core.errors import TryAgain
from shared.firestore.database import TRANSACTION_TRIES, FirestoreDatabase, Reads
from tests.integration.conftest import Servers


@pytest.fixture
def calls() -> Counter[str]:
    """Count the calls of the database."""
    return Counter()


@pytest.fixture
def database(
    servers: Servers,
    calls: Counter[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FirestoreDatabase]:
    """Connect to a database of the test's own."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", servers.firestore)
    project = f"p-{abs(hash(request.node.nodeid)):x}"
    with intercepted(lambda method: calls.update([method]), lambda *_: None):
        yield FirestoreDatabase(firestore.Client(project=project), sleep=lambda _: None)


def put(database: FirestoreDatabase, path: str, **fields: Any) -> None:
    """Write a document."""
    database.client.document(path).set(fields)


def test_documents_are_read_in_one_call(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """Fetched documents, present or not, take one call, which also begins the transaction."""
    put(database, "ledger/a", number=1)
    calls.clear()

    def change(reads: Reads) -> tuple[Any, Mapping[str, Any]]:
        reads.fetch(["ledger/a", "ledger/b", "ledger/a"])
        found = reads.document("ledger/a"), reads.document("ledger/b")
        return found, {"ledger/b": {"number": 2}}

    assert database.transact(change) == ({"number": 1}, None)
    assert calls == {"BatchGetDocuments": 1, "Commit": 1}
    assert database.documents(["ledger/b", "ledger/c"]) == {"ledger/b": {"number": 2}}


def test_a_query_begins_a_transaction(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """Documents between two ids are found in order, and need no further call."""
    for number in (3, 1, 2, 4):
        put(database, f"ledger/d{number}", number=number)
    calls.clear()

    def change(reads: Reads) -> tuple[Any, Mapping[str, Any]]:
        found = reads.documents_between("ledger", "d1", "d3")
        assert reads.document("ledger/d2") == {"number": 2}
        return [*found], {}

    assert database.transact(change) == ["d1", "d2", "d3"]
    assert calls == {"RunQuery": 1, "Commit": 1}


def test_others_interfere(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """A transaction whose documents have changed is attempted again, until it is too often."""
    put(database, "ledger/a", number=0)
    changes = 3

    def change(reads: Reads) -> tuple[int, Mapping[str, Any]]:
        nonlocal changes
        found = reads.document("ledger/a")
        assert found is not None
        if changes:
            changes -= 1
            put(database, "ledger/a", number=found["number"] + 10)
        return found["number"], {"ledger/a": {"number": found["number"] + 1}}

    assert database.transact(change) == 30
    assert database.documents(["ledger/a"]) == {"ledger/a": {"number": 31}}
    changes = TRANSACTION_TRIES
    with pytest.raises(TryAgain, match="busy"):
        database.transact(change)


def test_an_error_ends_a_transaction(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """If the change raises, nothing is written and nobody has to wait."""

    def change(reads: Reads) -> tuple[None, Mapping[str, Any]]:
        reads.document("ledger/a")
        raise KeyError("a")

    with pytest.raises(KeyError):
        database.transact(change)
    assert calls == {"BatchGetDocuments": 1, "Rollback": 1}


def test_a_write_without_a_read(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """A change that reads nothing takes one call; one that does nothing takes none."""
    database.transact(lambda _: (None, {"ledger/a": {"number": 1}}))
    database.transact(lambda _: (None, {}))

    assert calls == {"Commit": 1}
    assert database.documents(["ledger/a"]) == {"ledger/a": {"number": 1}}


def test_find(database: FirestoreDatabase, calls: Counter[str]) -> None:
    """Documents are found by all of some values, or by any of them, in one call."""
    put(database, "ledger/a", kind="x", open=True, told=None)
    put(database, "ledger/b", kind="x", open=False, told=None, run={"crc": "1"})
    put(database, "ledger/c", kind="y", open=True, told=1)
    calls.clear()

    assert [*database.find("ledger", {"kind": "x", "open": True})] == ["a"]
    assert [*database.find("ledger", {"told": None})] == ["a", "b"]
    assert [*database.find("ledger", {"run.crc": "1"})] == ["b"]
    assert [*database.find_any("ledger", [("kind", "y"), ("run.crc", "1")])] == ["b", "c"]
    assert calls == {"RunQuery": 4}


def test_a_read_starts_no_thread(
    database: FirestoreDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller reads the answers itself: a thread for each call would cost more than the call."""
    database.documents(["ledger/a"])
    started: list[str] = []
    start = threading.Thread.start

    def record(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", record)
    database.documents(["ledger/a"])

    assert started == []


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that cannot be reached is tried again, and then left to a later attempt."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    waits: list[float] = []
    database = FirestoreDatabase(firestore.Client(project="nowhere"), sleep=waits.append)

    with pytest.raises(TryAgain, match="ServiceUnavailable"):
        database.transact(lambda reads: (reads.document("ledger/a"), {}))

    assert len(waits) > 30
    assert max(waits) <= 2
