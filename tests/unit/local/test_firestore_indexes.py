"""A query finds the same with an index as without one, whatever has been committed meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from local.emulators.firestore import indexes, serve


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with serve() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.address)
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        connected = firestore.Client(project="indexes", credentials=credentials)
        yield connected
        connected.close()  # type: ignore[no-untyped-call]


def write(client: Any, chance: random.Random, number: int) -> None:
    """Commit documents, changes of documents and deletions in three collections of a group."""
    batch = client.batch()
    for _ in range(number):
        place = client.document(f"shops/{chance.choice('abc')}/files/{chance.randrange(150)}")
        if chance.random() < 0.2:
            batch.delete(place)
            continue
        values = [None, float("nan"), 1, 1.0, 2, 7, "x", "y", True, [1], {"a": 1}]
        fields = {name: chance.choice(values) for name in ("kind", "state", "size")}
        fields["at"] = chance.choice([*range(20), "later"])
        del fields[chance.choice([*fields, "kind"])]
        batch.set(place, fields)
    batch.commit()


def query(client: Any, chance: random.Random) -> Any:
    """Make a query up: equal values, one of several, a range, an order, a cursor, a limit."""
    made = chance.choice([client.collection_group("files"), client.collection("shops/a/files")])
    for name in ("kind", "state"):
        match chance.randrange(4):
            case 0:
                made = made.where(
                    filter=firestore.FieldFilter(name, "==", chance.choice([1, "x", True, None]))
                )
            case 1:
                made = made.where(filter=firestore.FieldFilter(name, "in", [1, 2, "x", "y"]))
    direction = chance.choice(["ASCENDING", "DESCENDING"])
    if chance.random() < 0.5:
        operator = chance.choice([">", ">=", "<", "<="])
        made = made.where(filter=firestore.FieldFilter("at", operator, chance.randrange(20)))
    if chance.random() < 0.8:
        made = made.order_by("at", direction=direction)
        if chance.random() < 0.3:
            made = made.order_by("size", direction=direction)
        cursor = {"at": chance.randrange(20)}
        match chance.randrange(5):
            case 0:
                made = made.start_after(cursor)
            case 1:
                made = made.start_at(cursor)
            case 2:
                made = made.end_before(cursor)
            case 3:
                made = made.end_at(cursor)
    if chance.random() < 0.5:
        made = made.limit(chance.choice([1, 5, 30]))
    return made


def test_an_index_changes_no_answer(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries between commits give the same documents in the same order both ways."""
    chance = random.Random(7)
    used = []
    kept = indexes.Indexes.get

    def get(self: indexes.Indexes, shape: indexes.Shape) -> indexes.Index | None:
        found = kept(self, shape)
        used.append(found is not None)
        return found

    monkeypatch.setattr(indexes, "FEWEST", 0)
    monkeypatch.setattr(indexes.Indexes, "get", get)
    write(client, chance, 400)
    for number in range(120):
        if number % 10 == 0:
            write(client, chance, 30)
        made = query(client, chance)
        indexed = [snapshot.reference.path for snapshot in made.stream()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(indexes, "plan", lambda _: None)
            scanned = [snapshot.reference.path for snapshot in made.stream()]

            added_up = totals(made.count("files").sum("size", "size"))

        assert scanned == indexed
        # NaN is not equal to itself.
        assert repr(added_up) == repr(totals(made.count("files").sum("size", "size")))

    assert sum(used) > 50


def test_sums(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added up over a stretch of an index is right after changes and deletions, too."""
    monkeypatch.setattr(indexes, "FEWEST", 0)
    files = client.collection("shops/a/files")
    for number in range(20):
        files.document(str(number)).set({"at": number, "size": 10})
    stretch = files.where(filter=firestore.FieldFilter("at", ">=", 10)).count("files")
    assert totals(stretch.sum("size", "size")) == {"files": 10, "size": 100}

    files.document("12").delete()
    files.document("13").update({"at": 1})
    files.document("3").set({"at": 15, "size": 5})

    assert totals(stretch) == {"files": 9, "size": 85}


def totals(aggregation: Any) -> dict[str, int]:
    return {one.alias: one.value for one in aggregation.get()[0]}


def test_small_collections_have_none(client: Any) -> None:
    """Where looking at everything is quick, no index is made."""
    client.document("shops/a/files/1").set({"at": 1})
    kept: list[indexes.Index] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexes.Indexes, "keep", lambda _, index: kept.append(index))
        assert len(client.collection_group("files").order_by("at").get()) == 1

    assert kept == []
