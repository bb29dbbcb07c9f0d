"""Rows that have not changed are not written, and whatever happens none is left out wrongly."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.firestore_v1 import types

from shared.core.errors import TryAgain
from shared.firestore.bulk.existence import Lookups
from shared.firestore.bulk.transport import Stored
from shared.index import forget, objects
from shared.index.feed import Successor
from shared.index.session import Indexing
from shared.ledger.feeds import Feed
from shared.ledger.imports import Import
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, csv_text, customers_csv, orders_csv

NAME = "customers_20230501T{}00Z"


@dataclass(slots=True)
class Counting:
    """The calls to the database, counted by document; the worker dies after so many writes."""

    calls: Lookups
    database: str = ""
    read: int = 0
    written: int = 0
    refused: int = 0
    break_after: int | None = None
    requests: Iterator[int] = field(default_factory=lambda: itertools.count())

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        self.read += len(names)
        return self.calls.get(names, mask, timeout=timeout)

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        return self.calls.count(groups, timeout=timeout)

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        if self.break_after is not None and next(self.requests) >= self.break_after:
            raise RuntimeError("The worker dies.")
        encoded = self.calls.write(writes, timeout=timeout)
        statuses = types.BatchWriteResponse.pb().FromString(encoded).status
        good = sum(status.code == 0 for status in statuses)
        self.written += good
        self.refused += len(statuses) - good
        return encoded


def count(pipeline: Pipeline) -> Counting:
    """Count the calls of a pipeline from now on."""
    calls = pipeline.services.documents
    counting = Counting(calls.calls if isinstance(calls, Counting) else calls)
    counting.database = counting.calls.database
    pipeline.services = replace(pipeline.services, documents=counting)
    return counting


def load(
    pipeline: Pipeline,
    time: str,
    *rows: dict[str, object],
    folder: str = "",
    result: str = "loaded",
) -> Import:
    """Load a customers file exported at a time of day; return its import."""
    name = NAME.format(time)
    pipeline.upload(f"{folder}{name}.csv", customers_csv(*rows))
    assert [result] == pipeline.run_due()
    return pipeline.import_(f"{folder.replace('/', '_')}{name}")


def people(number: int, **values: object) -> list[dict[str, object]]:
    """Return rows of so many people."""
    return [{"PERIDX": str(100 + place), **values} for place in range(number)]


def cities(pipeline: Pipeline) -> dict[str, str]:
    """Return where every customer lives."""
    return {
        key: document["address"]["city"]
        for key, document in pipeline.documents("customers").items()
    }


def feed(pipeline: Pipeline) -> Feed:
    """Return the feed of customers."""
    return pipeline.services.ledger.feed("main", "customers")


def the_index(pipeline: Pipeline) -> Any:
    """Return the one object of the index of customers."""
    index = feed(pipeline).index
    assert index is not None
    (part,) = index.parts
    return pipeline.services.bucket.get_blob(part.object)


# -- what is not written ------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [0, 1, 10])
def test_a_daily_full_export(pipeline: Pipeline, changed: int) -> None:
    """Of a second full export just the changed rows are written, and none is read."""
    rows = people(100)
    load(pipeline, "1100", *rows)
    calls = count(pipeline)

    changes = [{**row, "CITY": "Perth"} for row in rows[:changed]]
    second = load(pipeline, "1200", *changes, *rows[changed:])

    assert (100, changed, 100 - changed, 0) == (
        second.rows.read,
        second.rows.loaded,
        second.rows.unchanged,
        second.rows.rejected,
    )
    assert (changed, 0, 0) == (calls.written, calls.refused, calls.read)
    assert changed == sum(city == "Perth" for city in cities(pipeline).values())
    sources = {one["source"]["import"] for one in pipeline.documents("customers").values()}
    assert sources == ({NAME.format("1100")} | ({NAME.format("1200")} if changed else set()))
    assert len(pipeline.remembered()) == 1


def test_a_first_file_is_not_read_before_it_is_written(pipeline: Pipeline) -> None:
    """Where nothing was ever loaded, documents are created without a look."""
    calls = count(pipeline)

    load(pipeline, "1100", *people(10))

    assert (calls.written, calls.refused, calls.read) == (10, 0, 0)


def test_an_incremental_export(pipeline: Pipeline) -> None:
    """A file of a few people leaves what is remembered of all others as it was."""
    load(pipeline, "1000", *people(50))
    load(pipeline, "1100", *people(3), {"PERIDX": "7"})
    calls = count(pipeline)

    third = load(pipeline, "1200", *people(50), {"PERIDX": "7"})

    assert (third.rows.loaded, third.rows.unchanged, calls.written) == (0, 51, 0)


def test_an_order_is_all_its_rows(pipeline: Pipeline) -> None:
    """An order is unchanged if none of its lines has changed, and is written whole if one has."""
    load(pipeline, "1100", {"PERIDX": "1"})
    lines = [
        {"ORDER_NUMBER": order, "LINE_NUMBER": line, "QUANTITY": "1"}
        for line in (1, 2)
        for order in ("D1", "D2")
    ]
    pipeline.clock.advance("12:30")
    pipeline.upload("orders_20230501T110000Z.csv", orders_csv(*lines))
    assert pipeline.run_due() == ["loaded"]

    lines[2] = {**lines[2], "QUANTITY": "5"}
    pipeline.upload("orders_20230501T120000Z.csv", orders_csv(*lines))
    assert pipeline.run_due() == ["loaded"]

    rows = pipeline.import_("orders_20230501T120000Z").rows
    assert (rows.read, rows.loaded, rows.unchanged, rows.orphaned) == (4, 2, 2, 0)
    orders = pipeline.documents("orders")
    assert (orders["D1"]["quantity"], orders["D2"]["quantity"]) == (6, 2)


def test_an_order_without_its_customer(pipeline: Pipeline) -> None:
    """An order whose customer is not there is counted by every file that holds it, until he is."""
    load(pipeline, "1000", {"PERIDX": "1"})
    orders = orders_csv({"ORDER_NUMBER": "D1"}, {"ORDER_NUMBER": "D2", "PERIDX": "2"})
    pipeline.clock.advance("13:00")

    def orphaned(time: str) -> tuple[int, int, int]:
        pipeline.upload(f"orders_20230501T{time}00Z.csv", orders)
        assert pipeline.run_due() == ["loaded"]
        rows = pipeline.import_(f"orders_20230501T{time}00Z").rows
        return rows.loaded, rows.unchanged, rows.orphaned

    assert [orphaned("1000"), orphaned("1001")] == [(2, 0, 1), (1, 1, 1)]
    pipeline.upload(f"{NAME.format('0900')}.csv", customers_csv({"PERIDX": "2"}))
    assert pipeline.run_due() == ["loaded"]
    assert [orphaned("1002"), orphaned("1003")] == [(1, 1, 0), (0, 2, 0)]


def test_open_consent_is_unchanged_only_where_it_was_open(pipeline: Pipeline) -> None:
    """A row that leaves consent open differs from one that gives it; kept consent stays."""
    load(pipeline, "1000", *people(4, PRIVACY="Yes"))
    opened = load(pipeline, "1100", *people(4, PRIVACY=""))
    assert (opened.rows.loaded, opened.rows.unchanged) == (4, 0)
    calls = count(pipeline)

    again = load(pipeline, "1200", *people(4, PRIVACY=""))

    assert (again.rows.loaded, again.rows.unchanged, calls.read) == (0, 4, 0)
    documents = pipeline.documents("customers").values()
    assert [document["subscribed"] for document in documents] == [False] * 4


# -- what switches it off -----------------------------------------------------------------------


def test_the_deployment_switches_it_off(make: Make) -> None:
    """With SKIP_UNCHANGED=off every row is written."""
    pipeline = make(skip_unchanged=False)
    load(pipeline, "1100", *people(5))

    assert load(pipeline, "1200", *people(5)).rows.loaded == 5


def test_a_connection_switches_it_off_and_on(pipeline: Pipeline) -> None:
    """A connection's own setting counts, and what was remembered meanwhile is right."""
    load(pipeline, "1000", *people(5))
    settings = pipeline.database.document("connections/main")
    settings.set({"skipUnchanged": False})
    assert load(pipeline, "1100", *people(5, CITY="Perth")).rows.loaded == 5
    assert load(pipeline, "1130", *people(5, CITY="Perth")).rows.loaded == 5
    settings.set({"skipUnchanged": True})

    assert load(pipeline, "1200", *people(5, CITY="Perth")).rows.unchanged == 5
    assert {"Perth"} == set(cities(pipeline).values())


def test_a_changed_setting_changes_the_rows(pipeline: Pipeline) -> None:
    """The same rows read in another time zone are other content, and only those that have times."""
    updated = {"LAST_UPDATED": "2023-04-24T20:12:30"}
    load(pipeline, "1100", *people(3, **updated), {"PERIDX": "7", "LAST_UPDATED": ""})
    pipeline.database.document("connections/main").set({"timeZone": "Pacific/Auckland"})

    second = load(pipeline, "1200", *people(3, **updated), {"PERIDX": "7", "LAST_UPDATED": ""})

    assert (second.rows.loaded, second.rows.unchanged) == (3, 1)
    assert at("20230424T081230Z") == pipeline.documents("customers")["100"]["lastUpdated"]


def test_another_encoding(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """When documents are encoded by other rules, everything is written again, once."""
    load(pipeline, "1000", *people(5))
    monkeypatch.setattr("shared.index.records.ENCODING", 99)

    assert load(pipeline, "1100", *people(5)).rows.loaded == 5
    assert load(pipeline, "1200", *people(5)).rows.unchanged == 5


def test_a_replay_repairs(pipeline: Pipeline) -> None:
    """Documents that somebody has deleted or edited are unnoticed by the next file, and mended by
    a replay of the latest.
    """
    load(pipeline, "1000", *people(5))
    load(pipeline, "1100", *people(5))
    documents = pipeline.database.collection("connections/main/customers")
    documents.document("100").delete()
    documents.document("101").update({"address.city": "Atlantis"})
    documents.document("102").set({"mine": True})
    assert load(pipeline, "1130", *people(5)).rows.unchanged == 5

    replay("main", NAME.format("1130"), pipeline.services)
    assert pipeline.run_due() == ["loaded"]

    assert dict.fromkeys(("100", "101", "102", "103", "104"), "Hobart") == cities(pipeline)
    assert "mine" not in pipeline.documents("customers")["102"]
    assert pipeline.import_(NAME.format("1130")).rows.loaded == 5
    assert load(pipeline, "1200", *people(5)).rows.unchanged == 5


def test_an_edited_document_is_mended_when_its_row_changes(pipeline: Pipeline) -> None:
    """What somebody has edited or deleted is found out by the write, which then goes by the row."""
    load(pipeline, "1100", *people(3))
    documents = pipeline.database.collection("connections/main/customers")
    documents.document("100").delete()
    documents.document("101").update({"mine": True})
    calls = count(pipeline)

    load(pipeline, "1200", *people(3, CITY="Perth"))

    assert (calls.written, calls.refused, calls.read) == (3, 2, 2)
    assert {"Perth"} == set(cities(pipeline).values())
    assert "mine" not in pipeline.documents("customers")["101"]


# -- in any order -------------------------------------------------------------------------------

CLEAR = [None, *itertools.product(("Perth",), ("Yes", "No", "")), ("Cairns", "")]
KEEP = [None, *itertools.product(("Perth", ""), ("No", ""))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize(("blank_means", "said"), [("clear", CLEAR), ("keep", KEEP)])
def test_three_files_in_any_order(
    make: Make, order: tuple[int, ...], blank_means: str, said: list[tuple[str, str] | None]
) -> None:
    """Whatever three files say of a person, and in whatever order they are loaded, the document
    ends as they say in the order of their export.
    """
    pipeline = make(blank_means=blank_means)
    cases = dict(enumerate(itertools.product(said, repeat=3), 100))
    for place in order:
        rows: list[dict[str, object]] = [
            {"PERIDX": str(key), "CITY": row[0], "PRIVACY": row[1]}
            for key, case in cases.items()
            if (row := case[place]) is not None
        ]
        imported = load(pipeline, ("0900", "1000", "1100")[place], *rows)
        assert imported.rows.read == imported.rows.settled

    documents = pipeline.documents("customers")
    found = {
        key: (document.get("address", {}).get("city"), document.get("subscribed"))
        for key, document in documents.items()
    }
    assert {
        str(key): expected(case, keep=blank_means == "keep")
        for key, case in cases.items()
        if any(case)
    } == found


def expected(
    case: Sequence[tuple[str, str] | None], *, keep: bool
) -> tuple[str | None, bool | None]:
    """Say how a document ends of which the files say this, in the order of their export."""
    city: str | None = None
    subscribed: bool | None = None
    for row in case:
        if row is not None:
            city = row[0] or (city if keep else None)
            subscribed = {"Yes": False, "No": True}.get(row[1], subscribed)
    return city, subscribed


def test_a_late_file_does_not_undo_what_was_confirmed(pipeline: Pipeline) -> None:
    """A file that comes late leaves alone what a newer one has confirmed without writing it."""
    load(pipeline, "0900", *people(3, PRIVACY="Yes"))
    load(pipeline, "1100", *people(3, PRIVACY="Yes"))
    assert NAME.format("0900") == pipeline.documents("customers")["100"]["source"]["import"]

    late = load(pipeline, "1000", *people(3, PRIVACY="No", CITY="Perth"))

    assert (late.rows.loaded, late.rows.unchanged, late.rows.outdated) == (0, 0, 3)
    documents = pipeline.documents("customers").values()
    assert [(document["subscribed"], document["address"]["city"]) for document in documents] == [
        (False, "Hobart")
    ] * 3
    assert load(pipeline, "1200", *people(3, PRIVACY="Yes")).rows.unchanged == 3


def test_a_late_file_does_not_bring_back_the_deleted(pipeline: Pipeline) -> None:
    """A document that somebody has deleted is not made anew from a file older than the latest."""
    load(pipeline, "1100", *people(2))
    pipeline.database.document("connections/main/customers/100").delete()

    load(pipeline, "1000", *people(2))

    assert {"101"} == set(cities(pipeline))
    assert (
        (again := load(pipeline, "1200", *people(2)).rows).loaded,
        again.unchanged,
    ) == (1, 1)
    assert {"100", "101"} == set(cities(pipeline))


def test_a_check_remembers_nothing(pipeline: Pipeline) -> None:
    """A file in test/ leaves what is remembered as it was."""
    load(pipeline, "1100", *people(3))
    before = feed(pipeline).index

    load(pipeline, "1200", *people(3, CITY="Perth"), folder="test/", result="checked")

    assert before == feed(pipeline).index


def test_a_first_load_after_others(pipeline: Pipeline) -> None:
    """What bulk/ creates, also in place of what was deleted, is never taken for another's."""
    load(pipeline, "1000", *people(2))
    pipeline.database.document("connections/main/customers/100").delete()
    first = load(
        pipeline, "1100", *people(2, CITY="Perth"), {"PERIDX": "7", "CITY": "Perth"}, folder="bulk/"
    )
    assert (first.rows.loaded, first.rows.unchanged) == (2, 1)

    second = load(pipeline, "1200", *people(2), {"PERIDX": "7", "CITY": "Perth"})

    assert (second.rows.loaded, second.rows.unchanged) == (2, 1)
    assert cities(pipeline) == {"100": "Hobart", "101": "Hobart", "7": "Perth"}
    assert pipeline.documents("customers")["7"]["subscribed"]


# -- imports that fail --------------------------------------------------------------------------


def fail(pipeline: Pipeline, time: str, *rows: dict[str, object], after: int) -> None:
    """Let an import be given up after so many requests."""
    calls = count(pipeline)
    calls.break_after = after
    load(pipeline, time, *rows, result="failed")
    count(pipeline)


def test_after_a_failed_import_nothing_is_left_out(make: Make) -> None:
    """An import that was given up may have written anything: the next one writes all its rows, and
    the one after it can rely on what is remembered again.
    """
    pipeline = make(max_attempts=1)
    load(pipeline, "0900", *people(300), {"PERIDX": "7"})
    fail(pipeline, "1000", *people(300, CITY="Perth"), {"PERIDX": "7", "CITY": "Perth"}, after=1)
    assert 0 < sum(city == "Perth" for city in cities(pipeline).values()) < 300

    third = load(pipeline, "1100", *people(300))

    assert (third.rows.loaded, third.rows.unchanged) == (300, 0)
    assert {"Hobart"} == {city for key, city in cities(pipeline).items() if key != "7"}
    fourth = load(pipeline, "1200", *people(300), {"PERIDX": "7"})
    assert (fourth.rows.loaded, fourth.rows.unchanged) == (1, 300)
    assert {"Hobart"} == set(cities(pipeline).values())


def test_a_stalled_import_does_not_answer_for_another(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that wakes up after another one has written and failed does not have the next one
    believe that what is stored is what it has written itself.
    """
    pipeline = make(max_attempts=3)
    before, after = people(300, CITY="Perth"), people(300, CITY="Hobart")
    pipeline.upload(f"{NAME.format('1000')}.csv", customers_csv(*before))
    (task,) = pipeline.queue.due(pipeline.clock())
    successor = Indexing.successor

    def stalled(index: Indexing) -> Successor:
        monkeypatch.undo()
        left = successor(index)
        pipeline.clock.advance(pipeline.services.deployment.lease * 2)
        calls = count(pipeline)
        calls.break_after = 3  # two that find other documents than expected, one that writes
        pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*after))
        (other,) = pipeline.queue.due(pipeline.clock())[-1:]
        for _ in range(3):
            with suppress(TryAgain):
                pipeline.work(other)
            pipeline.clock.advance(timedelta(minutes=5))
        assert pipeline.import_(NAME.format("1100")).status == "failed"
        count(pipeline).break_after = None
        return left

    monkeypatch.setattr(Indexing, "successor", stalled)
    with pytest.raises(TryAgain):
        pipeline.work(task)
    assert "Hobart" in cities(pipeline).values()

    load(pipeline, "1200", *before)

    assert {"Perth"} == set(cities(pipeline).values())


def test_a_later_attempt_leaves_out_what_the_first_did(make: Make) -> None:
    """An attempt that goes on where another died writes only what is left to be written."""
    pipeline = make(max_attempts=3)
    load(pipeline, "1000", *people(800))
    calls = count(pipeline)
    calls.break_after = 1
    changes = people(400, CITY="Perth")
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*changes, *people(800)[400:]))
    (task,) = pipeline.queue.due(pipeline.clock())
    with pytest.raises(TryAgain):
        pipeline.work(task)
    written = calls.written
    calls.break_after = None

    assert pipeline.work(task) == "loaded"

    rows = pipeline.import_(NAME.format("1100")).rows
    assert (rows.loaded, rows.unchanged) == (400, 400)
    assert 0 < written < 400 == calls.written
    assert load(pipeline, "1200", *changes, *people(800)[400:]).rows.unchanged == 800


def test_a_setting_changed_between_attempts(make: Make) -> None:
    """Where the rows come out otherwise than in an earlier attempt, that one's are not trusted."""
    pipeline = make(max_attempts=3)
    updated = {"LAST_UPDATED": "2023-04-24T20:12:30"}
    load(pipeline, "1000", *people(400, **updated))
    settings = pipeline.database.document("connections/main")
    settings.set({"timeZone": "Pacific/Auckland"})
    calls = count(pipeline)
    calls.break_after = 1
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(400, **updated)))
    (task,) = pipeline.queue.due(pipeline.clock())
    with pytest.raises(TryAgain):
        pipeline.work(task)
    settings.set({})
    calls.break_after = None

    assert pipeline.work(task) == "loaded"

    third = load(pipeline, "1400", *people(400, **updated))
    times = {one["lastUpdated"] for one in pipeline.documents("customers").values()}
    assert {at("20230424T101230Z")} == times
    assert 0 < third.rows.loaded < 400


# -- an index that is lost ----------------------------------------------------------------------


def _deleted(pipeline: Pipeline) -> None:
    the_index(pipeline).delete()


def _edited(pipeline: Pipeline) -> None:
    blob = the_index(pipeline)
    blob.upload_from_string(blob.download_as_bytes()[:-1] + b"?")


def _put_back(pipeline: Pipeline) -> None:
    blob = the_index(pipeline)
    blob.upload_from_string(blob.download_as_bytes())


def _other_sum(pipeline: Pipeline) -> None:
    _point(pipeline, crc32c="AAAAAA==")


def _other_object(pipeline: Pipeline) -> None:
    foreign = pipeline.services.bucket.blob("state/main/customers/other.index")
    foreign.upload_from_string(b"x" * 64)
    foreign.reload()
    _point(
        pipeline,
        object=foreign.name,
        generation=foreign.generation,
        size=64,
        crc32c=foreign.crc32c,
    )


def _point(pipeline: Pipeline, **changes: Any) -> None:
    document = pipeline.database.document("connections/main/feeds/customers")
    (part,) = (document.get().to_dict() or {})["index"]["parts"]
    document.update({"index.parts": [{**part, **changes}]})


@pytest.mark.parametrize("lose", [_deleted, _edited, _put_back, _other_sum, _other_object])
def test_a_lost_index(pipeline: Pipeline, lose: Any) -> None:
    """An index that is not exactly what was written is not used: all is read and written, and the
    next file finds a new one.
    """
    load(pipeline, "1000", *people(5))
    lose(pipeline)
    calls = count(pipeline)

    second = load(pipeline, "1100", *people(5, CITY="Perth"))

    assert (second.rows.loaded, calls.read, calls.refused) == (5, 5, 0)
    assert load(pipeline, "1200", *people(5, CITY="Perth")).rows.unchanged == 5


def test_a_late_file_after_a_loss(pipeline: Pipeline) -> None:
    """A file older than the lost index is not loaded as long as nobody can tell what newer files
    have confirmed; replays with force, the newest first, load all of them as if nothing was lost.
    """
    load(pipeline, "0900", *people(4, PRIVACY="Yes"))
    load(pipeline, "1100", *people(3, PRIVACY="Yes"))
    _deleted(pipeline)

    late = load(pipeline, "1000", *people(4, PRIVACY="No", CITY="Perth"), result="failed")

    assert late.error is not None
    assert late.error.code == "system.index_lost"
    assert late.error.hint in late.status_text
    assert {"Hobart"} == set(cities(pipeline).values())
    assert feed(pipeline).index_held_by is None
    for time in ("1100", "1000"):
        replay("main", NAME.format(time), pipeline.services, force=True)
        assert pipeline.run_due() == ["loaded"]
    documents = pipeline.documents("customers")
    assert [
        (documents[key]["address"]["city"], documents[key]["subscribed"])
        for key in sorted(documents)
    ] == [("Hobart", False)] * 3 + [("Perth", True)]


def test_a_late_file_after_a_loss_that_was_made_good(pipeline: Pipeline) -> None:
    """Once a newer file has said all over again, older ones can be told apart from it again."""
    load(pipeline, "1000", *people(3))
    load(pipeline, "1100", *people(3))
    _deleted(pipeline)
    load(pipeline, "1200", *people(3))

    late = load(pipeline, "1030", *people(3, CITY="Perth"))

    assert late.rows.outdated == 3
    assert {"Hobart"} == set(cities(pipeline).values())


def test_an_open_field_after_a_loss(pipeline: Pipeline) -> None:
    """Consent that the newest file leaves open counts as confirmed up to the loss: no older file
    brings it back.
    """
    load(pipeline, "0900", *people(1, PRIVACY="Yes"))
    load(pipeline, "1100", *people(1, PRIVACY="Yes"))
    _deleted(pipeline)
    load(pipeline, "1200", *people(1, PRIVACY=""))

    load(pipeline, "1000", *people(1, PRIVACY="No"))

    assert [one["subscribed"] for one in pipeline.documents("customers").values()] == [False]


# -- what is kept in state/ ---------------------------------------------------------------------


def test_the_sweep_removes_what_nobody_points_at(pipeline: Pipeline) -> None:
    """Indexes of imports that never ended are removed when they are a day old; none in use is."""
    load(pipeline, "1100", *people(3))
    used = pipeline.remembered()
    bucket = pipeline.services.bucket
    for name in ("state/main/customers/left.index", "state/main/orders/left.index"):
        bucket.blob(name).upload_from_string(b"x")
    made = the_index(pipeline).time_created
    pipeline.clock.now = made + timedelta(hours=23)
    assert pipeline.sweep()["orphans"] == 0
    pipeline.clock.now = made + timedelta(hours=25)

    assert pipeline.sweep()["orphans"] == 2

    assert used == pipeline.remembered()


def test_forgetting_a_document(pipeline: Pipeline) -> None:
    """What is forgotten is written anew by the next file; all else is remembered as it was."""
    load(pipeline, "1100", *people(5))
    pipeline.database.document("connections/main/customers/100").delete()

    forget(pipeline.services, "main", "customers", ["100", "999"])

    second = load(pipeline, "1200", *people(5))
    assert (second.rows.loaded, second.rows.unchanged) == (1, 4)
    assert len(pipeline.remembered()) == 1


def test_nothing_is_forgotten_while_a_file_is_loaded(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's index cannot be replaced under its hands: whoever wants to must come back."""
    load(pipeline, "1000", *people(5))
    write = objects.write
    refused: list[str] = []

    def forgetful(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(objects, "write", write)
        with pytest.raises(TryAgain) as caught:
            forget(pipeline.services, "main", "customers", ["100"])
        refused.append(str(caught.value))
        return write(*arguments, **options)

    monkeypatch.setattr(objects, "write", forgetful)
    load(pipeline, "1100", *people(5))

    assert [f"{NAME.format('1100')} is being loaded."] == refused
    assert load(pipeline, "1200", *people(5)).rows.unchanged == 5


def test_an_index_replaced_under_an_import(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import whose index was replaced in the meantime does not point over it: it begins anew."""
    load(pipeline, "1000", *people(5))
    write = objects.write

    def meddling(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(objects, "write", write)
        part = write(*arguments, **options)
        _point(pipeline, object="state/main/customers/other.index")
        return part

    monkeypatch.setattr(objects, "write", meddling)
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(5, CITY="Perth")))
    (task,) = pipeline.queue.due(pipeline.clock())
    with pytest.raises(TryAgain):
        pipeline.work(task)

    assert pipeline.work(task) == "loaded"
    assert {"Perth"} == set(cities(pipeline).values())


def test_an_empty_file_changes_nothing_remembered(pipeline: Pipeline) -> None:
    """A file without rows touches neither the index nor its mark."""
    load(pipeline, "1000", *people(2))
    before = feed(pipeline)
    pipeline.upload(f"{NAME.format('1100')}.csv", csv_text(("PERIDX", "CITY"), ()))

    assert pipeline.run_due() == ["loaded"]

    after = feed(pipeline)
    assert (before.index, None) == (after.index, after.index_held_by)
