"""Transactions of a Firestore server, also with the asynchronous client.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from tests.conformance.firestore_helpers import begin, fill, increment, only_embedded, where
from tests.conformance.firestore_servers import EMBEDDED, GOOGLE, connect_async

pytest_plugins = ["tests.conformance.firestore_servers"]


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
