"""The embedded Firestore server itself: its folder, its versions, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from local.emulators.firestore import InUse, commits, names, serve, transactions, writes
from local.emulators.firestore.store import Store
from tests.conformance.firestore_helpers import begin, fill, ids, increment
from tests.conformance.firestore_servers import GOOGLE, connect
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.conformance.firestore_servers"]


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
        self._process.communicate(timeout=PATIENCE)
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
            assert enough.wait(PATIENCE)
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
