"""A file that takes longer than one task may is loaded by several, one going on from the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.ledger.imports import Import
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.integration.test_unchanged import NAME, cities, count, feed, load, people
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

LOADED = "loaded"
ON = "continues"


@pytest.fixture
def slow(make: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pipeline]:
    """Build a pipeline on which every document takes a second of the 100 a task may work."""
    monkeypatch.setattr("shared.loading.delivery.LOT", 1)

    def build() -> Pipeline:
        pipeline = make(task_deadline=timedelta(seconds=100), max_attempts=2)
        clock = pipeline.clock

        def ticking() -> datetime:
            clock.now += timedelta(seconds=1)
            return clock.now

        pipeline.services = replace(pipeline.services, now=ticking)
        return pipeline

    return build


def send(pipeline: Pipeline, time: str, *rows: dict[str, object], folder: str = "") -> list[str]:
    """Load a customers file; return how each of its tasks came out."""
    pipeline.upload(f"{folder}{NAME.format(time)}.csv", customers_csv(*rows))
    return pipeline.run_due()


def imported(pipeline: Pipeline, time: str) -> Import:
    """Return the import of such a file."""
    return pipeline.import_(NAME.format(time))


@pytest.mark.parametrize("folder", ["", "bulk/"])
def test_a_long_load(slow: Callable[..., Pipeline], folder: str) -> None:
    """Each task writes what the ones before it have not, none is read, and they are one attempt."""
    pipeline = slow()
    calls = count(pipeline)

    results = send(pipeline, "1100", *people(250), folder=folder)

    assert [*[ON] * (len(results) - 1), LOADED] == results
    assert 3 <= len(results) <= 4
    assert (calls.written, calls.refused, calls.read) == (250, 0, 0)
    import_ = pipeline.import_(f"{folder.replace('/', '_')}{NAME.format('1100')}")
    assert (
        import_.rows.read,
        import_.rows.loaded,
        import_.rows.unchanged,
        import_.attempt,
    ) == (250, 250, 0, 1)
    assert any("continues from here" in entry.text for entry in import_.history)
    assert len(pipeline.remembered()) == 1
    assert feed(pipeline).index_held_by is None
    assert feed(pipeline).running is None


def test_changed_and_unchanged_are_counted_once(slow: Callable[..., Pipeline]) -> None:
    """However many tasks it takes, a row counts as unchanged or as loaded, as it was."""
    pipeline = slow()
    send(pipeline, "1000", *people(200))
    calls = count(pipeline)
    rows = [
        {**row, **({"CITY": "Perth"} if place % 4 else {})} for place, row in enumerate(people(200))
    ]

    results = send(pipeline, "1100", *rows)

    assert ON in results
    assert (
        imported(pipeline, "1100").rows.loaded,
        imported(pipeline, "1100").rows.unchanged,
    ) == (150, 50)
    assert (calls.written, calls.refused) == (150, 0)
    assert _count_perth(pipeline) == {False: 50, True: 150}
    assert load(pipeline, "1200", *rows).rows.unchanged == 200


def test_a_long_replay(slow: Callable[..., Pipeline]) -> None:
    """A replay writes every row again, once, also where it takes several tasks."""
    pipeline = slow()
    send(pipeline, "1100", *people(150))
    for key in ("100", "249"):
        pipeline.database.document(f"connections/main/customers/{key}").delete()
    calls = count(pipeline)

    replay("main", NAME.format("1100"), pipeline.services)
    results = pipeline.run_due()

    assert results == [ON, LOADED]
    # A document that is written again just as it is counts as written, too.
    assert calls.written == 150
    assert len(cities(pipeline)) == 150
    assert imported(pipeline, "1100").rows.loaded == 150


def test_a_fault_after_a_checkpoint(slow: Callable[..., Pipeline]) -> None:
    """A task that dies after others have ended is repeated from where those have come to."""
    pipeline = slow()
    calls = count(pipeline)
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(250)))
    (first,) = pipeline.queue.due(pipeline.clock())
    assert pipeline.work(first) == ON
    before = calls.written
    calls.break_after = 0
    (second,) = pipeline.queue.due(pipeline.clock())
    with pytest.raises(Exception, match="retried"):
        pipeline.work(second)
    calls.break_after = None

    results = [pipeline.work(second), *pipeline.run_due()]

    assert results[-1] == LOADED
    assert 0 < before < 250 == calls.written
    assert (imported(pipeline, "1100").rows.loaded, imported(pipeline, "1100").attempt) == (250, 2)


def test_tasks_that_write_nothing_come_to_an_end(slow: Callable[..., Pipeline]) -> None:
    """A file of which no task writes anything is given up, as after so many attempts."""
    pipeline = slow()
    send(pipeline, "1200", *people(250))

    results = send(pipeline, "1100", *people(250, CITY="Perth"))

    assert results == [ON, ON, "out of attempts"]
    assert imported(pipeline, "1100").status == "failed"
    assert {"Hobart"} == set(cities(pipeline).values())


def test_another_file_in_between(slow: Callable[..., Pipeline]) -> None:
    """A newer file that is loaded before the rest of an older one wins, and neither is lost."""
    pipeline = slow()
    pipeline.upload(f"{NAME.format('1100')}.csv", customers_csv(*people(150)))
    (first,) = pipeline.queue.due(pipeline.clock())
    assert pipeline.work(first) == ON
    (rest,) = pipeline.queue.due(pipeline.clock())
    pipeline.clock.advance(timedelta(minutes=2))
    assert LOADED in send(pipeline, "1130", *people(50, CITY="Perth"))

    results = [pipeline.work(rest), *pipeline.run_due()]

    assert results[-1] == LOADED
    assert _count_perth(pipeline) == {False: 100, True: 50}
    rows = imported(pipeline, "1100").rows
    assert (rows.settled, rows.outdated) == (150, 50)


def test_long_orders_count_their_orphans_once(slow: Callable[..., Pipeline]) -> None:
    """Orders whose customer is not there are counted once, however many tasks it takes."""
    pipeline = slow()
    send(pipeline, "1100", {"PERIDX": "1"})
    orders = [
        {"ORDER_NUMBER": f"D{number}", "PERIDX": str(1 + number % 2)} for number in range(150)
    ]
    pipeline.clock.advance(timedelta(hours=1))
    pipeline.upload("orders_20230501T110000Z.csv", orders_csv(*orders))

    results = pipeline.run_due()

    assert results[-2:] == [ON, LOADED]
    rows = pipeline.import_("orders_20230501T110000Z").rows
    assert (rows.loaded, rows.orphaned) == (150, 75)
    calls = count(pipeline)
    replay("main", "orders_20230501T110000Z", pipeline.services)
    assert pipeline.run_due() == [ON, LOADED]
    rows = pipeline.import_("orders_20230501T110000Z").rows
    assert (rows.loaded, rows.orphaned, calls.written) == (150, 75, 150)


def _count_perth(pipeline: Pipeline) -> dict[bool, int]:
    found = [city == "Perth" for city in cities(pipeline).values()]
    return {False: found.count(False), True: found.count(True)}


def test_the_pace_is_handed_on(slow: Callable[..., Pipeline]) -> None:
    """What Firestore was led up to holds for the next task and file, until it is idle again."""
    pipeline = slow()
    pipeline.services = replace(pipeline.services, paced=True)
    document = pipeline.database.document("connections/main/feeds/customers")

    paces = []
    for time, before in (("1000", None), ("1100", timedelta(0)), ("1200", timedelta(hours=1))):
        if before is not None:
            at = pipeline.clock() - before
            document.update({"pace": {"writesPerSecond": 4_000.0, "at": at}})
        assert send(pipeline, time, *people(150, CITY=time)) == [ON, LOADED]
        pace = feed(pipeline).pace
        assert pace is not None
        paces.append(pace.writes_per_second)

    assert paces == [500, 4_000, 500]
