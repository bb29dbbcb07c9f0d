"""An index of several objects: small files leave the old ones unread, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shared.index import choice, objects
from shared.ledger.parts import StateObject
from shared.scheduling.replay import replay
from tests.integration.test_unchanged import (
    NAME,
    cities,
    count,
    feed,
    load,
    people,
)
from tests.support.pipeline import Pipeline, customers_csv, orders_csv


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every import add an object to the index, and read none if its file comes in order."""
    for limit in ("SMALL", "GROWTH", "RECORDS_PER_READ"):
        monkeypatch.setattr(choice, limit, 0)


def parts(pipeline: Pipeline) -> tuple[StateObject, ...]:
    """Return the objects of the index of customers."""
    index = feed(pipeline).index
    assert index is not None
    return index.parts


def lose(pipeline: Pipeline, part: StateObject) -> None:
    """Delete an object of the index."""
    pipeline.services.bucket.blob(part.object).delete()


def test_a_small_file_leaves_the_index_unread(pipeline: Pipeline) -> None:
    """Documents without a record are asked for once; only changed ones are written, without a
    second read."""
    load(pipeline, "1000", *people(20))
    (base,) = parts(pipeline)
    lose(pipeline, base)
    calls = count(pipeline)

    second = load(
        pipeline, "1100", {"PERIDX": "100", "CITY": "Perth"}, {"PERIDX": "101"}, {"PERIDX": "7"}
    )

    assert (second.rows.loaded, second.rows.unchanged) == (2, 1)
    assert (calls.read, calls.written, calls.refused) == (3, 2, 0)
    assert {"100", "7"} == {
        key
        for key, document in pipeline.documents("customers").items()
        if document["source"]["import"] == NAME.format("1100")
    }
    assert base in parts(pipeline)
    assert objects.count(parts(pipeline)[1:]) == 3


def test_what_is_asked_for_once_is_known_afterwards(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import leaves records of all its documents, so that the next file need not ask."""
    load(pipeline, "1000", *people(20))
    load(pipeline, "1100", *people(3))
    monkeypatch.setattr(choice, "SMALL", 3)
    calls = count(pipeline)

    third = load(pipeline, "1200", *people(3))

    assert (third.rows.unchanged, calls.read, calls.written) == (3, 0, 0)
    assert [objects.count([part]) for part in parts(pipeline)] == [20, 3]


def test_few_documents_are_cheaper_to_ask_for_than_a_large_index(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is read where that costs less than asking for the documents."""
    load(pipeline, "1000", *people(20))
    monkeypatch.setattr(choice, "RECORDS_PER_READ", 10)
    calls = count(pipeline)

    assert load(pipeline, "1100", *people(2)).rows.unchanged == 2
    assert calls.read == 0
    assert load(pipeline, "1200", {"PERIDX": "105"}).rows.unchanged == 1
    assert calls.read == 1


@pytest.mark.parametrize("times", [("1000", "1100"), ("1100", "1000")])
def test_a_late_file_reads_what_newer_files_have_confirmed(
    pipeline: Pipeline, times: Sequence[str]
) -> None:
    """A row that a newer file has found unchanged is not replaced by an older file."""
    for time in ("0900", "1200", *times):
        load(pipeline, time, *people(3, CITY="Hobart" if time in ("0900", "1200") else "Perth"))

    assert {"Hobart"} == set(cities(pipeline).values())
    assert len(parts(pipeline)) == 4


def test_a_late_file_finds_out_that_an_unread_object_is_lost(pipeline: Pipeline) -> None:
    """Files in order need not know; a late file is not loaded, because nobody can tell any more
    what the index knew."""
    load(pipeline, "1000", *people(3))
    lose(pipeline, parts(pipeline)[0])
    load(pipeline, "1200", {"PERIDX": "100"})

    late = load(pipeline, "1100", *people(3, CITY="Perth"), result="failed")

    assert late.error is not None
    assert late.error.code == "system.index_lost"
    assert {"Hobart"} == set(cities(pipeline).values())


def test_a_replay_writes_everything_again(pipeline: Pipeline) -> None:
    """A replay asks for nothing, and merges nothing that it has not read."""
    load(pipeline, "1000", *people(3))
    load(pipeline, "1100", *people(2))

    replay("main", NAME.format("1100"), pipeline.services)
    assert pipeline.run_due() == ["loaded"]

    assert pipeline.import_(NAME.format("1100")).rows.unchanged == 0
    assert {NAME.format("1000"), NAME.format("1100")} == {
        document["source"]["import"] for document in pipeline.documents("customers").values()
    }


def test_a_document_from_before_hashes_is_written_again(pipeline: Pipeline) -> None:
    """A document without a hash is read before it is written: it may hold newer consent."""
    load(pipeline, "1000", *people(2))
    for key in ("100", "101"):
        document = pipeline.database.document(f"connections/main/customers/{key}")
        source: dict[str, Any] = (document.get().to_dict() or {})["source"]
        document.update({"source": {k: v for k, v in source.items() if k != "content"}})
    calls = count(pipeline)

    second = load(pipeline, "1100", *people(2))

    assert (second.rows.loaded, second.rows.unchanged) == (2, 0)
    assert (calls.read, calls.written, calls.refused) == (4, 2, 0)
    assert all("content" in one["source"] for one in pipeline.documents("customers").values())


def test_a_filled_document_has_no_hash(pipeline: Pipeline) -> None:
    """A late file that fills an open field takes the hash away: it says nothing of the filling."""
    load(pipeline, "1100", {"PERIDX": "1", "PRIVACY": ""})
    assert "content" in pipeline.documents("customers")["1"]["source"]

    late = load(pipeline, "1000", {"PERIDX": "1", "PRIVACY": "No"})

    document = pipeline.documents("customers")["1"]
    assert (late.rows.loaded, document["subscribed"]) == (1, True)
    assert "content" not in document["source"]
    assert load(pipeline, "1200", {"PERIDX": "1", "PRIVACY": ""}).rows.loaded == 1
    assert pipeline.documents("customers")["1"]["subscribed"] is True


def test_a_deleted_document_is_written_again(pipeline: Pipeline) -> None:
    """A document that somebody has deleted is written again if Firestore is asked for it."""
    load(pipeline, "1000", *people(2))
    pipeline.database.document("connections/main/customers/100").delete()

    assert load(pipeline, "1100", *people(2)).rows.loaded == 1
    assert {"100", "101"} == set(pipeline.documents("customers"))


def test_an_order_without_its_customer_is_counted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged order whose customer is not there is counted, and written by the next file."""
    load(pipeline, "1000", {"PERIDX": "1"})
    orders = orders_csv({"ORDER_NUMBER": "D1"}, {"ORDER_NUMBER": "D2", "PERIDX": "2"})
    pipeline.clock.advance("13:00")

    def orphaned(time: str) -> tuple[int, int, int]:
        pipeline.upload(f"orders_20230501T{time}00Z.csv", orders)
        assert pipeline.run_due() == ["loaded"]
        rows = pipeline.import_(f"orders_20230501T{time}00Z").rows
        return rows.loaded, rows.unchanged, rows.orphaned

    assert [orphaned("1000"), orphaned("1001")] == [(2, 0, 1), (0, 2, 1)]
    monkeypatch.setattr(choice, "SMALL", 2)
    assert orphaned("1002") == (1, 1, 1)
    pipeline.upload(f"{NAME.format('0900')}.csv", customers_csv({"PERIDX": "2"}))
    assert pipeline.run_due() == ["loaded"]
    monkeypatch.setattr(choice, "SMALL", 0)
    assert orphaned("1003") == (0, 2, 0)
