"""A large file is loaded in shards, and comes to the same as a file that is loaded by one task."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from google.cloud.firestore_v1 import types
from grpc import StatusCode

from shared.core.errors import TryAgain
from shared.firestore.bulk.existence import Lookups
from shared.firestore.bulk.transport import CallFailed
from shared.ledger.imports import Import
from shared.ledger.tasks import LoadTask
from shared.loading.delivery import Delivery
from shared.loading.shards import joining
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.integration.test_unchanged import NAME, cities, count, feed, people
from tests.support.pipeline import Pipeline, csv_text, customers_csv, orders_csv

SMALL: Mapping[str, Any] = {"shard_bytes": 1_000, "shards_at_once": 2}


def customers() -> str:
    """Return a file with keys that come several times, rows to be rejected, and odd cells."""
    rng = random.Random(1)
    rows = [
        {
            "PERIDX": str(rng.randint(100, 250)),
            "CITY": rng.choice(("Perth", "Hobart", "")),
            "PRIVACY": rng.choice(("Yes", "No", "")),
            "LAST_UPDATED": f"2023-04-{rng.randint(10, 28)}T10:00:00",
        }
        for _ in range(200)
    ]
    for place in (3, 77, 150):
        rows[place]["PERIDX"] = ""
    return customers_csv(*rows)


def orders() -> str:
    """Return orders whose rows stand all over the file, some with a bad row."""
    rows = [
        {
            "ORDER_NUMBER": f"D{number}",
            "LINE_NUMBER": str(line),
            "PERIDX": str(1 + number % 2),
            "QUANTITY": "many" if number % 9 == 0 and line == 1 else "1",
        }
        for line in range(4)
        for number in range(50)
    ]
    return orders_csv(*rows)


def outcome(pipeline: Pipeline, connection: str, type: str, content: str) -> dict[str, Any]:
    """Load a file of a connection after a customer; return all that came of it."""
    pipeline.upload(f"{connection}/customers_20230501T080000Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    import_id = f"{type}_20230501T090000Z"
    pipeline.upload(f"{connection}/{import_id}.csv", content)
    pipeline.clock.advance(timedelta(hours=1))
    results = pipeline.run_due()
    return {"results": results, **said_of(pipeline, connection, import_id, type)}


def said_of(pipeline: Pipeline, connection: str, import_id: str, type: str) -> dict[str, Any]:
    """Return all that came of an import."""
    import_ = pipeline.import_(import_id, connection)
    documents = pipeline.documents(type, connection)
    for document in documents.values():
        del document["source"]["generation"]
    named = import_.reports.rejected
    report = pipeline.report(import_.reports.report or "")
    same_content = "file.same_content"
    report["problemCounts"].pop(same_content, None)
    return {
        "status": import_.status,
        "rows": import_.rows,
        "warnings": [one for one in import_.warnings if one["code"] != same_content],
        "documents": documents,
        "rejected": pipeline.read(named).splitlines() if named else [],
        "counts": report["problemCounts"],
        "problems": sorted(
            map(str, (one for one in report["problems"] if one["code"] != same_content))
        ),
    }


def remains(pipeline: Pipeline, type: str, connection: str = "shards") -> set[str]:
    """Name all that is left of shards: documents of the ledger, and objects of no index."""
    feed = pipeline.services.ledger.feed(connection, type)
    index = {part.object for part in feed.index.parts} if feed.index else set()
    objects = {one for one in pipeline.remembered() if f"/{connection}/{type}/" in one}
    assert index <= objects
    shards = pipeline.database.collection_group("shards").stream()
    return objects - index | {one.reference.path for one in shards}


@pytest.mark.parametrize(("type", "content"), [("customers", customers), ("orders", orders)])
def test_in_shards(make: Make, type: str, content: Callable[[], str]) -> None:
    """In shards and in one piece: documents, counts, warnings and reports are equal."""
    text = content()
    whole = outcome(make(), "whole", type, text)
    pipeline = make(**SMALL)

    shards = outcome(pipeline, "shards", type, text)

    assert whole.pop("results") == ["loaded_with_rejects"]
    results = shards.pop("results")
    assert results[0] == "in shards"
    assert results[-1] == "loaded_with_rejects"
    assert {"shard loaded"} == set(results[1:-1])
    assert whole == shards
    assert not remains(pipeline, type)


def rewards() -> str:
    """Return one reward account a row."""
    return csv_text(
        ("PERIDX", "TIER_NAME", "AVAILABLE_POINTS"),
        [(100 + place, ("Gold", "Silver", "")[place % 3], place) for place in range(400)],
    )


@dataclass(slots=True)
class Refusing:
    """Calls to a database that takes no document whose id has this ending."""

    calls: Lookups
    ending: str
    database: str = ""

    def get(self, *arguments: Any, **options: Any) -> Any:
        return self.calls.get(*arguments, **options)

    def count(self, *arguments: Any, **options: Any) -> Any:
        return self.calls.count(*arguments, **options)

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        whole = b"".join(writes)
        request = types.BatchWriteRequest.pb().FromString(whole)
        if any(write.update.name.endswith(self.ending) for write in request.writes):
            raise CallFailed("BatchWrite", StatusCode.INVALID_ARGUMENT, "no")
        return self.calls.write([whole], timeout=timeout)


def refusing(pipeline: Pipeline, ending: str) -> Pipeline:
    """Return a pipeline over a database that refuses some documents."""
    calls = pipeline.services.documents
    refused = Refusing(calls, ending, calls.database)
    pipeline.services = replace(pipeline.services, documents=refused)
    return pipeline


@pytest.mark.parametrize(
    ("type", "content"),
    [("customers", customers), ("orders", orders), ("rewards", rewards)],
)
def test_refused_documents(make: Make, type: str, content: Callable[[], str]) -> None:
    """Rows that Firestore refuses are told of as they are for a file in one piece."""
    text = content()
    whole = outcome(refusing(make(), "7"), "whole", type, text)

    shards = outcome(refusing(make(**SMALL), "7"), "shards", type, text)

    assert whole["counts"]["write.refused"]
    for one in (whole, shards):
        del one["results"]
    assert whole == shards


def test_a_first_load_in_shards(make: Make) -> None:
    """A first load in shards creates what a first load in one piece creates, and no consent."""
    documents = []
    for connection, settings in (("whole", {}), ("shards", SMALL)):
        pipeline = make(**settings)
        name = f"bulk/{connection}/customers_20230501T090000Z.csv"
        pipeline.upload(name, customers_csv(*people(100)))
        assert pipeline.run_due()[-1] == "loaded"
        documents.append(
            {
                key: {name: value for name, value in one.items() if name != "source"}
                for key, one in pipeline.documents("customers", connection).items()
            }
        )

    assert len(documents[0]) == 100
    assert documents[0] == documents[1]
    assert not any("subscribed" in one for one in documents[1].values())


def test_a_check_is_never_split(make: Make) -> None:
    """A file in `test/` is read by one task, however large it is."""
    pipeline = make(**SMALL)
    pipeline.upload(f"test/{NAME.format('1100')}.csv", customers_csv(*people(100)))

    assert pipeline.run_due() == ["checked"]


# -- what is remembered -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now"),
    [(10**9, 2_000), (2_000, 2_000), (500, 2_000), (2_000, 500), (2_000, 10**9)],
)
def test_a_second_day(make: Make, before: int, now: int) -> None:
    """What has not changed is neither written nor read, however the two files were split."""
    first = make(shard_bytes=before)
    load_in_shards(first, "1000", *people(300))
    pipeline = make(shard_bytes=now)
    calls = count(pipeline)
    rows = people(300)
    rows[7] |= {"CITY": "Perth"}

    import_ = load_in_shards(pipeline, "1100", *rows)

    assert (
        import_.rows.loaded,
        import_.rows.unchanged,
        calls.written,
        calls.read,
    ) == (1, 299, 1, 0)
    assert not remains(pipeline, "customers", "main")
    assert load_in_shards(pipeline, "1200", *rows).rows.unchanged == 300


def test_documents_of_other_files_stay_remembered(make: Make) -> None:
    """The index that shards leave holds what only earlier files held, too."""
    pipeline = make(**SMALL)
    load_in_shards(pipeline, "1000", *people(300))
    load_in_shards(pipeline, "1100", *people(100, CITY="Perth"))

    import_ = load_in_shards(pipeline, "1200", *people(100, CITY="Perth"), *people(300)[100:])

    assert (import_.rows.loaded, import_.rows.unchanged) == (0, 300)


@pytest.mark.parametrize(("joined", "objects"), [(10**6, 1), (0, 16)])
def test_objects_of_the_index(
    make: Make, monkeypatch: pytest.MonkeyPatch, joined: int, objects: int
) -> None:
    """A small index is joined into one object; a large one keeps the objects of its shards."""
    monkeypatch.setattr(joining, "JOINED", joined)
    pipeline = make(**SMALL)
    outcome(pipeline, "shards", "customers", customers())

    assert not remains(pipeline, "customers")
    index = pipeline.services.ledger.feed("shards", "customers").index
    assert index is not None
    assert len(index.parts) == objects
    pipeline.upload("shards/customers_20230501T100000Z.csv", customers())
    pipeline.run_due()
    assert pipeline.import_("customers_20230501T100000Z", "shards").rows.loaded == 0


def test_a_replay_in_shards(make: Make) -> None:
    """A replay writes every row again, once."""
    pipeline = make(**SMALL)
    load_in_shards(pipeline, "1100", *people(100))
    pipeline.database.document("connections/main/customers/150").delete()
    calls = count(pipeline)

    replay("main", NAME.format("1100"), pipeline.services)

    assert pipeline.run_due()[-1] == "loaded"
    assert (calls.written, len(cities(pipeline))) == (100, 100)
    assert pipeline.import_(NAME.format("1100")).rows.loaded == 100


def test_a_late_file_after_a_loss(make: Make) -> None:
    """After a loss a late file is failed in shards as in one piece, and loads with force."""
    pipeline = make(**SMALL)
    load_in_shards(pipeline, "1200", *people(100))
    for name in pipeline.remembered():
        pipeline.services.bucket.blob(name).delete()
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(100, CITY="Perth")))

    assert "failed" in pipeline.run_due()
    import_ = pipeline.import_(NAME.format("1100"))
    assert import_.error is not None
    assert import_.error.code == "system.index_lost"
    assert not remains(pipeline, "customers", "main")
    replay("main", NAME.format("1100"), pipeline.services, force=True)
    assert pipeline.run_due()[-1] == "loaded"
    assert {"Hobart"} == set(cities(pipeline).values())


# -- faults -------------------------------------------------------------------------------------


class Dies(BaseException):
    """The process is gone."""


def split(pipeline: Pipeline, time: str = "1100", number: int = 100, **values: object) -> None:
    """Upload a customers file and let it be split."""
    pipeline.upload(f"{NAME.format(time)}.csv", customers_csv(*people(number, **values)))
    (task,) = pipeline.queue.due(pipeline.clock())
    assert pipeline.work(task) == "in shards"


def test_the_ledger_while_shards_are_loaded(make: Make) -> None:
    """The import's document shows the whole: what was read, what is loaded, how many have ended."""
    pipeline = make(**SMALL)
    split(pipeline)
    first, _ = pipeline.queue.due(pipeline.clock())

    assert pipeline.work(first) == "shard loaded"

    import_ = pipeline.import_(NAME.format("1100"))
    assert import_.split is not None
    assert (import_.status, import_.split.ended, import_.split.shards) == ("loading", 1, 4)
    assert import_.rows.read == 100
    assert len(cities(pipeline)) == import_.rows.loaded
    assert 50 < import_.progress.percent < 100
    assert import_.status_text == "Being loaded in 4 parts, 1 of them finished."


def test_a_fault_in_a_shard(make: Make) -> None:
    """A shard whose worker meets a fault is repeated; the others are not."""
    pipeline = make(**SMALL)
    split(pipeline)
    calls = count(pipeline)
    first, second = pipeline.queue.due(pipeline.clock())
    calls.break_after = 0
    with pytest.raises(TryAgain):
        pipeline.work(first)
    calls.break_after = None

    results = [pipeline.work(second), pipeline.work(first), *pipeline.run_due()]

    assert results[-1] == "loaded"
    assert (calls.written, pipeline.import_(NAME.format("1100")).attempt) == (100, 1)


def test_a_dead_worker_of_a_shard(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard whose worker has died is taken over when its lease is over, by the task's return."""
    pipeline = make(**SMALL)
    split(pipeline)
    first, second = pipeline.queue.due(pipeline.clock())
    kill(pipeline, monkeypatch, first)

    results = [pipeline.work(first), pipeline.work(second), *pipeline.run_due()]
    assert results[:2] == ["shard at work", "shard loaded"]
    pipeline.clock.advance(timedelta(minutes=2))
    results = pipeline.run_due()

    assert results[-1] == "loaded"
    assert len(cities(pipeline)) == 100


def kill(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, task: LoadTask) -> None:
    """Let the worker of a shard die before it writes a document."""

    def dies(*_: object, **__: object) -> NoReturn:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "deliver", dies)
        with pytest.raises(Dies):
            pipeline.work(task)


def test_lost_tasks_of_shards(make: Make) -> None:
    """Tasks of shards that vanish are found by the sweep, and nothing is loaded twice."""
    pipeline = make(**SMALL)
    calls = count(pipeline)
    split(pipeline)
    first, _ = pipeline.queue.due(pipeline.clock())
    pipeline.work(first)
    pipeline.queue.waiting.clear()
    pipeline.clock.advance(timedelta(minutes=25))

    assert pipeline.sweep()["revived"] == {"loading": 1}
    results = pipeline.run_due()

    assert results[0] == "in shards"
    assert results[-1] == "loaded"
    assert (calls.written, pipeline.import_(NAME.format("1100")).attempt) == (100, 2)
    assert not remains(pipeline, "customers", "main")


def test_a_join_that_dies(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies while it joins the shards; another one joins them."""
    pipeline = make(**SMALL)
    calls = count(pipeline)
    split(pipeline)

    def dies(*_: object, **__: object) -> NoReturn:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr("shared.loading.shards.joining.join", dies)
        with pytest.raises(Dies):
            pipeline.run_due()
    pipeline.clock.advance(timedelta(minutes=25))
    pipeline.sweep()

    assert pipeline.run_due() == ["loaded"]
    assert (calls.written, pipeline.import_(NAME.format("1100")).rows.loaded) == (100, 100)
    assert not remains(pipeline, "customers", "main")


def test_a_shard_that_cannot_be_loaded(make: Make) -> None:
    """A shard that is out of attempts fails the import, with an alert; a replay loads it."""
    pipeline = make(**SMALL, max_attempts=2)
    split(pipeline)
    calls = count(pipeline)
    calls.break_after = 0
    first, second = pipeline.queue.due(pipeline.clock())
    with pytest.raises(TryAgain):
        pipeline.work(first)

    assert pipeline.work(first) == "failed"

    import_ = pipeline.import_(NAME.format("1100"))
    assert import_.error is not None
    assert (import_.status, import_.error.code) == ("failed", "system.retries_used_up")
    alert = pipeline.database.document(f"alerts/main~{NAME.format('1100')}~failed").get()
    assert alert.get("open")
    assert pipeline.work(second) == "ended"
    assert not remains(pipeline, "customers", "main")
    calls.break_after = None
    replay("main", NAME.format("1100"), pipeline.services)
    assert pipeline.run_due()[-1] == "loaded"
    assert len(cities(pipeline)) == 100


def test_a_correction_while_shards_are_loaded(make: Make) -> None:
    """A corrected upload takes over at once; tasks of the old one's shards do nothing more."""
    pipeline = make(**SMALL)
    split(pipeline)
    first, second = pipeline.queue.due(pipeline.clock())
    pipeline.work(first)
    pipeline.clock.advance(timedelta(seconds=5))
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(100, CITY="Perth")))

    assert pipeline.work(second) == "superseded"
    assert pipeline.run_due()[-1] == "loaded"

    assert {"Perth"} == set(cities(pipeline).values())
    assert sweep_a_day_later(pipeline)
    assert not remains(pipeline, "customers", "main")


@pytest.mark.parametrize("what", ["rows", "index", "settings", "another file"])
def test_shards_that_cannot_go_on(make: Make, what: str) -> None:
    """Where what shards go by is gone or has changed, the file is split anew, and loaded whole."""
    pipeline = make(**SMALL)
    load_in_shards(pipeline, "1000", *people(100))
    split(pipeline, CITY="Perth")
    first, _ = pipeline.queue.due(pipeline.clock())
    pipeline.work(first)
    pipeline.queue.waiting.clear()
    match what:
        case "rows":
            _delete(pipeline, ".rows")
        case "index":
            _delete(pipeline, ".index")
        case "settings":
            pipeline.database.document("connections/main").set({"blankMeans": "keep"})
        case _:
            pipeline.clock.advance(timedelta(minutes=11))
            load_in_shards(pipeline, "1030", *people(100, CITY="Cairns"))
    pipeline.clock.advance(timedelta(minutes=25))
    pipeline.sweep()

    results = pipeline.run_due()

    assert "split again" in results
    assert results[-1] == "loaded"
    assert {"Perth"} == set(cities(pipeline).values())
    assert not remains(pipeline, "customers", "main")
    if what in ("rows", "index"):
        import_ = load_in_shards(pipeline, "1200", *people(100, CITY="Perth"))
        assert import_.rows.unchanged == 100


def _delete(pipeline: Pipeline, ending: str) -> None:
    for name in pipeline.remembered():
        if name.endswith(ending):
            pipeline.services.bucket.blob(name).delete()


def sweep_a_day_later(pipeline: Pipeline) -> int:
    """Sweep when everything is a day old; return how many orphans there were."""
    before = pipeline.clock.now
    made = [blob.time_created for blob in pipeline.services.bucket.list_blobs(prefix="state/")]
    pipeline.clock.now = max(made) + timedelta(hours=25)
    orphans: int = pipeline.sweep()["orphans"]
    pipeline.clock.now = before
    return orphans


def test_the_sweep_and_shards(make: Make) -> None:
    """The sweep leaves alone what shards still need, and removes what nobody needs any more."""
    pipeline = make(**SMALL)
    split(pipeline)
    assert sweep_a_day_later(pipeline) == 0
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(3)))
    pipeline.run_due()

    assert sweep_a_day_later(pipeline) == 5

    assert not remains(pipeline, "customers", "main")


def test_a_shard_that_takes_long(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that takes longer than one task may is loaded by several; none is written twice."""
    monkeypatch.setattr("shared.loading.delivery.LOT", 1)
    pipeline = make(task_deadline=timedelta(seconds=100), max_attempts=2, shard_bytes=8_000)
    clock = pipeline.clock

    def ticking() -> datetime:
        clock.now += timedelta(seconds=1)
        return clock.now

    pipeline.services = replace(pipeline.services, now=ticking)
    calls = count(pipeline)
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(400)))

    results = pipeline.run_due()

    assert "continues" in results
    assert results[-1] == "loaded"
    assert (calls.written, calls.refused) == (400, 0)
    assert pipeline.import_(NAME.format("1100")).rows.loaded == 400
    assert not remains(pipeline, "customers", "main")


def test_the_pace_is_shared(make: Make) -> None:
    """Shards that are loaded together keep to one pace, and hand it on."""
    pipeline = make(**SMALL)
    pipeline.services = replace(pipeline.services, paced=True)
    load_in_shards(pipeline, "1000", *people(100))

    pace = feed(pipeline).pace

    assert pace is not None
    assert pace.writes_per_second == 500


def load_in_shards(pipeline: Pipeline, time: str, *rows: dict[str, object]) -> Import:
    """Load a customers file exported at a time of day, in however many tasks."""
    pipeline.upload(f"{NAME.format(time)}.csv", customers_csv(*rows))
    results = pipeline.run_due()
    assert results[-1] == "loaded", results
    return pipeline.import_(NAME.format(time))
