"""An import is undone: its documents get what the other exports say, as if it had never been."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import LeaseLost, NotPossible
from shared.ledger.imports import Import
from shared.ledger.store import LedgerStore
from shared.reporting.statuses import face_of
from shared.scheduling.replay import replay
from shared.undoing import attempt, ending
from shared.undoing.attempt import Undone, undo
from shared.undoing.exports import HoldRenewal
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

OLD = "customers_20230501T080000Z"
WRONG = "customers_20240501T090000Z"
REAL = "customers_20230501T100000Z"


@pytest.fixture(params=["whole", "in shards"])
def pipeline(request: pytest.FixtureRequest, make: Make) -> Pipeline:
    """Load small files in both ways; names may be ahead of their upload."""
    settings: dict[str, Any] = {"future_tolerance": timedelta(days=500)}
    if request.param == "in shards":
        settings |= {"shard_bytes": 150, "shards_at_once": 2}
    return make(**settings)


def load(pipeline: Pipeline, import_id: str, content: str) -> Import:
    """Load a file at once."""
    pipeline.clock.advance(timedelta(minutes=1))
    pipeline.upload(f"{import_id}.csv", content)
    pipeline.run_due()
    return pipeline.import_(import_id)


def people(**cities: str) -> str:
    """Return a file of people by their ids, each in a city, all of them subscribed."""
    return customers_csv(
        *({"PERIDX": id[1:], "CITY": city, "PRIVACY": "No"} for id, city in cities.items())
    )


def cities(pipeline: Pipeline) -> dict[str, str]:
    """Return who is where."""
    return {
        id: document["address"]["city"] for id, document in pipeline.documents("customers").items()
    }


def run(pipeline: Pipeline, import_id: str = WRONG, **options: bool) -> Undone:
    return undo("main", import_id, pipeline.services, **options)


def counts(undone: Undone) -> tuple[int, int, int, int]:
    return undone.documents, undone.restored, undone.removed, undone.left


def test_a_slip_of_the_year(pipeline: Pipeline) -> None:
    """After a file was named a year ahead, undoing it gives every document what the latest other
    export says, also one that it had outdated; the feed is free again."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth", p3="Perth"))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart", p4="Hobart"))
    frozen = load(pipeline, REAL, people(p1="Cairns", p5="Cairns"))
    assert (frozen.rows.outdated, frozen.rows.loaded) == (1, 1)

    looked = run(pipeline, dry_run=True)

    assert counts(looked) == (3, 2, 1, 0)
    assert {"1": "Hobart", "2": "Hobart"}.items() <= cities(pipeline).items()
    assert looked == run(pipeline)
    assert cities(pipeline) == {"1": "Cairns", "2": "Perth", "3": "Perth", "5": "Cairns"}
    assert pipeline.documents("customers")["1"]["source"]["import"] == REAL
    import_ = pipeline.import_(WRONG)
    assert import_.undone is not None
    assert import_.status_text == "Undone: 2 documents restored, 1 removed."
    assert import_.status_text == import_.history[-1].text
    feed = pipeline.services.ledger.feed("main", "customers")
    assert (feed.running, feed.index_held_by, feed.latest) == (None, None, REAL)
    later = load(pipeline, "customers_20230501T110000Z", people(p1="Darwin", p2="Darwin"))
    assert (later.rows.loaded, later.rows.outdated) == (2, 0)


def test_twice(pipeline: Pipeline) -> None:
    """Undoing it once more changes nothing."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, WRONG, people(p1="Hobart"))
    run(pipeline)
    before = pipeline.documents("customers")

    assert counts(run(pipeline)) == (0, 0, 0, 0)
    assert before == pipeline.documents("customers")


def test_rows_that_it_has_confirmed(pipeline: Pipeline) -> None:
    """What the import had found unchanged is no longer held to be as new as the import."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, WRONG, people(p1="Perth"))

    assert counts(run(pipeline)) == (0, 0, 0, 0)

    assert load(pipeline, REAL, people(p1="Cairns")).rows.loaded == 1
    late = load(pipeline, "customers_20230501T070000Z", people(p1="Darwin"))
    assert late.rows.outdated == 1


def test_a_file_that_was_outdated_by_rows_that_it_has_confirmed(pipeline: Pipeline) -> None:
    """Documents that the import had found unchanged get what a file says which it had outdated."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, WRONG, people(p1="Perth", p2="Perth"))
    assert load(pipeline, REAL, people(p1="Cairns")).rows.outdated == 1

    run(pipeline)

    assert cities(pipeline) == {"1": "Cairns", "2": "Perth"}


@pytest.mark.parametrize("late", [False, True])
def test_consent_withdrawn_in_rows_that_it_has_confirmed(pipeline: Pipeline, late: bool) -> None:
    """It stays withdrawn for an older file that gives it, before the undoing and after it."""
    wrong, between = REAL, "customers_20230501T090000Z"
    withdrawn = customers_csv({"PERIDX": "1", "PRIVACY": "Yes", "CITY": "Perth"})
    load(pipeline, OLD, withdrawn)
    load(pipeline, wrong, withdrawn)
    if late:
        run(pipeline, wrong)
    load(pipeline, between, people(p1="Cairns"))
    if not late:
        run(pipeline, wrong)

    assert (consent(pipeline), cities(pipeline)) == (False, {"1": "Cairns"})
    load(pipeline, "customers_20230501T110000Z", people(p1="Darwin"))
    assert consent(pipeline) is True


def test_a_file_that_it_had_outdated_can_be_replayed(pipeline: Pipeline) -> None:
    """A replay after it changes nothing: all is as the exports say already."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart"))
    load(pipeline, REAL, people(p1="Cairns"))
    run(pipeline)
    before = cities(pipeline)

    for name in (REAL, OLD):
        replay("main", name, pipeline.services)
        pipeline.run_due()

    assert before == cities(pipeline)


def test_its_right_name(pipeline: Pipeline) -> None:
    """The same bytes under the right name are loaded after it."""
    load(pipeline, OLD, people(p1="Perth"))
    content = people(p1="Hobart", p2="Hobart")
    load(pipeline, WRONG, content)
    run(pipeline)

    right = load(pipeline, "customers_20230501T090000Z", content)

    assert right.rows.loaded == 2
    assert cities(pipeline) == {"1": "Hobart", "2": "Hobart"}


def consent(pipeline: Pipeline, id: str = "1") -> bool | None:
    found: bool | None = pipeline.documents("customers")[id].get("subscribed")
    return found


def lose_the_index(pipeline: Pipeline) -> None:
    for blob in pipeline.services.bucket.list_blobs(prefix="state/"):
        blob.delete()


def test_consent_stays_withdrawn(pipeline: Pipeline) -> None:
    """Consent that the import withdrew stays withdrawn through replays and late files, until an
    export that is made later gives it."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Perth"}))
    load(pipeline, WRONG, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))

    run(pipeline)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Perth")
    for name in ("customers_20230501T083000Z", "customers_20230501T084000Z"):
        load(pipeline, name, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Cairns"}))
    replay("main", OLD, pipeline.services)
    pipeline.run_due()
    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Cairns")
    pipeline.clock.advance(timedelta(hours=2))
    load(pipeline, "customers_20230501T133000Z", customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    assert consent(pipeline)


def test_consent_that_a_file_named_in_the_past_withdrew(pipeline: Pipeline) -> None:
    """Consent stays withdrawn as of the file's own time when that is past."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Perth"}))
    load(pipeline, REAL, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))

    run(pipeline, REAL)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Perth")
    load(pipeline, "customers_20230501T103000Z", customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    assert consent(pipeline)


EVENING = "customers_20230501T110000Z"


@pytest.mark.parametrize("order", [(REAL, EVENING), (EVENING, REAL)], ids=["first", "second"])
def test_consent_stays_withdrawn_when_two_are_undone(
    pipeline: Pipeline, order: tuple[str, str]
) -> None:
    """Of two imports, of which the earlier withdrew consent and the later gave it again, both may
    be undone in any order: what the earlier withdrew stays withdrawn."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Perth"}))
    load(pipeline, REAL, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    load(pipeline, EVENING, customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    assert consent(pipeline)

    for import_id in order:
        run(pipeline, import_id)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Perth")
    load(pipeline, "customers_20230501T113000Z", customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    assert consent(pipeline)


def test_consent_that_a_newer_file_left_open(pipeline: Pipeline) -> None:
    """What an undone import withdrew also counts for a value that a newer file had left open."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Perth"}))
    load(pipeline, REAL, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    load(pipeline, EVENING, customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    open_ = customers_csv({"PERIDX": "1", "PRIVACY": "", "CITY": "Cairns"})
    load(pipeline, "customers_20230501T120000Z", open_)

    run(pipeline, REAL)
    assert consent(pipeline)
    run(pipeline, EVENING)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Cairns")


@pytest.mark.parametrize("given", [True, False])
def test_what_a_newer_file_left_open_after_the_index_was_lost(
    pipeline: Pipeline, given: bool
) -> None:
    """Consent is still the import's if a file without the person was the last one before. It stays
    withdrawn for a late file that is older than that one, which may have confirmed it."""
    privacy = "No" if given else "Yes"
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": privacy}))
    load(pipeline, REAL, people(p2="Perth"))
    lose_the_index(pipeline)
    load(pipeline, EVENING, customers_csv({"PERIDX": "1", "PRIVACY": ""}))
    late = customers_csv({"PERIDX": "1", "PRIVACY": "No"})

    if not given:
        load(pipeline, "customers_20230501T083000Z", late)
        assert consent(pipeline) is False
    assert run(pipeline, OLD).restored == 1
    assert consent(pipeline) is (None if given else False)
    load(pipeline, "customers_20230501T084000Z", late)
    assert consent(pipeline) is given


def test_consent_where_no_export_is_left(pipeline: Pipeline) -> None:
    """What an undone import withdrew also counts in a document that keeps its content because the
    files of the other exports are gone."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Perth"}))
    load(pipeline, REAL, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    load(pipeline, EVENING, customers_csv({"PERIDX": "1", "PRIVACY": "No", "CITY": "Cairns"}))
    pipeline.services.bucket.blob(f"processed/{OLD}.csv").delete()

    run(pipeline, REAL)
    run(pipeline, EVENING)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Cairns")


def test_a_replay_takes_back_the_undoing(pipeline: Pipeline) -> None:
    """An import that was undone and is replayed counts as any other."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    load(pipeline, REAL, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    load(pipeline, EVENING, customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    run(pipeline, EVENING)
    replay("main", EVENING, pipeline.services)
    pipeline.run_due()

    run(pipeline, REAL)

    assert consent(pipeline)


def test_consent_that_it_gave(pipeline: Pipeline) -> None:
    """Consent that only the import gave is gone, and what an earlier file withdrew is withdrawn."""
    load(pipeline, "customers_20230501T070000Z", customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    load(pipeline, OLD, customers_csv(*({"PERIDX": key, "PRIVACY": ""} for key in "12")))
    load(pipeline, WRONG, customers_csv(*({"PERIDX": key, "PRIVACY": "No"} for key in "12")))

    run(pipeline)

    assert (consent(pipeline), consent(pipeline, "2")) == (False, None)


def test_what_the_import_left_open(pipeline: Pipeline) -> None:
    """Consent that the import left open is still the one that an earlier file gave."""
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    load(pipeline, WRONG, customers_csv({"PERIDX": "1", "PRIVACY": ""}))

    run(pipeline)

    document = pipeline.documents("customers")["1"]
    assert (document["subscribed"], document["source"]["import"]) == (True, OLD)
    assert "kept" not in document["source"]


def test_an_export_that_is_gone(pipeline: Pipeline) -> None:
    """A document that was there before, and of which no export is left, keeps its content and is
    told of; the next file that holds it changes it, however old."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, WRONG, customers_csv({"PERIDX": "1", "CITY": "Hobart", "PRIVACY": "Yes"}))
    pipeline.services.bucket.blob(f"processed/{OLD}.csv").delete()

    undone = run(pipeline)

    assert counts(undone) == (1, 0, 0, 1)
    assert undone.gone == (OLD,)
    assert (cities(pipeline)["1"], consent(pipeline)) == ("Hobart", False)
    assert "no earlier export is left" in pipeline.import_(WRONG).status_text
    assert counts(run(pipeline)) == (0, 0, 0, 0)
    assert load(pipeline, REAL, people(p1="Cairns")).rows.loaded == 1
    assert (cities(pipeline)["1"], consent(pipeline)) == ("Cairns", False)


def test_an_import_of_the_present(pipeline: Pipeline) -> None:
    """An ordinary import is undone likewise, and what newer files have written stays."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, "customers_20230501T090000Z", people(p1="Hobart", p2="Hobart"))
    load(pipeline, REAL, people(p2="Cairns"))

    assert counts(run(pipeline, "customers_20230501T090000Z")) == (1, 1, 0, 0)
    assert cities(pipeline) == {"1": "Perth", "2": "Cairns"}


def test_the_same_content_as_a_newer_file(pipeline: Pipeline) -> None:
    """What a newer file has found as the import had it is that file's then."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, "customers_20230501T090000Z", people(p1="Hobart"))
    assert load(pipeline, REAL, people(p1="Hobart")).rows.unchanged == 1

    run(pipeline, "customers_20230501T090000Z")

    document = pipeline.documents("customers")["1"]
    assert (document["address"]["city"], document["source"]["import"]) == ("Hobart", REAL)


def test_a_first_load(pipeline: Pipeline) -> None:
    """What only a first load has created is removed."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, f"bulk/{REAL}".replace("bulk/", ""), people(p3="Perth"))
    pipeline.upload(f"bulk/{WRONG}.csv", people(p1="Hobart", p2="Hobart"))
    pipeline.run_due()
    assert {"1", "2", "3"} == set(cities(pipeline))

    assert counts(run(pipeline, f"bulk_{WRONG}")) == (1, 0, 1, 0)
    assert cities(pipeline) == {"1": "Perth", "3": "Perth"}


def test_orders(pipeline: Pipeline) -> None:
    """An order is again what the latest other export says of it, whole."""
    load(pipeline, OLD, people(p1="Perth"))
    pipeline.clock.advance(timedelta(hours=1))

    def order(key: str, *quantities: str) -> list[dict[str, object]]:
        return [
            {"ORDER_NUMBER": key, "PERIDX": "1", "LINE_NUMBER": str(line), "QUANTITY": quantity}
            for line, quantity in enumerate(quantities, 1)
        ]

    load(pipeline, "orders_20230501T081000Z", orders_csv(*order("D1", "1", "2"), *order("D2", "3")))
    wrong = "orders_20230501T090000Z"
    load(pipeline, wrong, orders_csv(*order("D1", "9"), *order("D3", "9")))

    assert counts(run(pipeline, wrong)) == (2, 1, 1, 0)
    assert {
        key: [line["quantity"] for line in document["lines"]]
        for key, document in pipeline.documents("orders").items()
    } == {"D1": [1, 2], "D2": [3]}


def test_an_order_that_a_newer_export_has_without_a_line(pipeline: Pipeline) -> None:
    """The complete order of an older export is restored, and a correction of it counts."""
    load(pipeline, OLD, people(p1="Perth"))
    pipeline.clock.advance(timedelta(hours=1))
    lines: list[dict[str, object]] = [
        {"ORDER_NUMBER": "D1", "LINE_NUMBER": str(number)} for number in (1, 2)
    ]
    good, wrong = "orders_20230501T081000Z", "orders_20230501T090000Z"
    load(pipeline, good, orders_csv(*lines))
    other: dict[str, object] = {"ORDER_NUMBER": "D2"}
    bad = load(
        pipeline,
        "orders_20230501T082000Z",
        orders_csv(lines[0], {**lines[1], "QUANTITY": "x"}, other),
    )
    assert bad.status == "loaded_with_rejects"
    load(pipeline, wrong, orders_csv({**lines[0], "QUANTITY": "9"}))

    assert counts(run(pipeline, wrong)) == (1, 1, 0, 0)
    assert pipeline.documents("orders")["D1"]["lineCount"] == 2
    load(pipeline, good, orders_csv({**lines[0], "QUANTITY": "5"}))

    assert pipeline.documents("orders")["D1"]["quantity"] == 5


def test_corrected_rows(pipeline: Pipeline) -> None:
    """A corrected row counts for as much as its export, as the one undone and as one of the
    others."""
    good = [{"PERIDX": str(100 + number)} for number in range(9)]
    load(pipeline, OLD, customers_csv(*good, {"PERIDX": "x1", "CITY": "Perth"}))
    text = pipeline.read(f"rejected/{OLD}.rejected.csv").replace("x1", "1")
    load(pipeline, REAL, people(p1="Cairns"))
    fixed = "customers_20230501T103000Z"
    load(pipeline, fixed, text)
    load(pipeline, WRONG, people(p1="Hobart"))

    run(pipeline)

    assert cities(pipeline)["1"] == "Cairns"
    run(pipeline, REAL)
    document = pipeline.documents("customers")["1"]
    assert ("Perth", at("08:00")) == (document["address"]["city"], document["source"]["exportedAt"])
    assert counts(run(pipeline, fixed)) == (1, 0, 1, 0)


def test_what_cannot_be_undone(pipeline: Pipeline) -> None:
    """Unknown imports, checks, misnamed files and imports under way are refused in words."""
    pipeline.upload(f"test/{OLD}.csv", people(p1="Perth"))
    pipeline.run_due()
    pipeline.upload(f"{OLD}.csv", people(p1="Perth"))

    for import_id in ("customers_20230501T000000Z", f"test_{OLD}", OLD):
        with pytest.raises(NotPossible):
            run(pipeline, import_id)


def test_nothing_of_the_type_begins_meanwhile(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an import is undone, a file of the type waits, a replay of it is refused, and another
    undoing, too; all goes on afterwards."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, WRONG, people(p1="Hobart"))
    pipeline.upload(f"{REAL}.csv", people(p1="Cairns"))
    (task,) = pipeline.queue.due(pipeline.clock())
    seen: list[str] = []

    def meanwhile(*_: object) -> None:
        if not seen:
            seen.append(pipeline.work(task))
            for ask in (lambda: replay("main", WRONG, pipeline.services), lambda: run(pipeline)):
                with pytest.raises(NotPossible):
                    ask()

    monkeypatch.setattr(HoldRenewal, "beat", meanwhile)
    run(pipeline)

    assert seen == ["blocked"]
    assert cities(pipeline) == {"1": "Perth"}
    assert [one for one in pipeline.run_due() if one == "loaded"][:1] == ["loaded"]
    assert cities(pipeline) == {"1": "Cairns"}


def test_the_answer_that_the_feed_is_held_comes_late(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes no document if another file has begun before the answer."""
    load(pipeline, OLD, people(p1="Perth"))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart"))
    take = LedgerStore.transact

    def late(ledger: LedgerStore, change: Any) -> Any:
        answer = take(ledger, change)
        monkeypatch.undo()
        pipeline.clock.advance(timedelta(hours=1))
        load(pipeline, REAL, people(p1="Cairns"))
        return answer

    monkeypatch.setattr(LedgerStore, "transact", late)

    with pytest.raises(LeaseLost):
        run(pipeline)

    assert cities(pipeline) == {"1": "Hobart", "2": "Hobart"}
    run(pipeline)
    assert cities(pipeline) == {"1": "Cairns"}


def test_another_is_undone_before_the_end(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for undone when another undoing has ended meanwhile without an index."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart", p3="Hobart"))
    lose_the_index(pipeline)
    write_end = ending.end

    def late(*arguments: Any, **rest: Any) -> None:
        monkeypatch.undo()
        pipeline.clock.advance(timedelta(hours=1))
        run(pipeline, OLD)
        write_end(*arguments, **rest)

    monkeypatch.setattr(attempt, "end", late)

    with pytest.raises(LeaseLost, match="Undo it again"):
        run(pipeline)

    half_undone = pipeline.import_(WRONG)
    assert half_undone.undone is None
    assert "undo the import again" in half_undone.status_text
    assert face_of(half_undone.status, half_undone.status_text).sign == "△"
    assert cities(pipeline) == {"1": "Hobart", "2": "Hobart"}  # restored by the other undoing
    run(pipeline)
    undone = pipeline.import_(WRONG)
    assert undone.undone is not None
    assert face_of(undone.status, undone.status_text).sign == "✓"
    assert pipeline.documents("customers") == {}


@pytest.mark.parametrize("at_call", range(1, 5))
def test_broken_off(make: Make, monkeypatch: pytest.MonkeyPatch, at_call: int) -> None:
    """However far it came before it broke off, doing it again comes to the same."""
    pipeline = make(future_tolerance=timedelta(days=500))
    load(pipeline, "customers_20230501T070000Z", customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    load(pipeline, OLD, customers_csv({"PERIDX": "1", "PRIVACY": "", "CITY": "Perth"}))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart"))
    transport = type(pipeline.services.documents)
    write, left = transport.write, [at_call]

    def dying(self: Any, writes: Any, *, timeout: float) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("killed")
        return write(self, writes, timeout=timeout)

    monkeypatch.setattr(transport, "write", dying)
    try:
        run(pipeline)
    except RuntimeError:
        run(pipeline)
    left[0] = 0

    document = pipeline.documents("customers")["1"]
    assert (document["subscribed"], document["address"]["city"]) == (True, "Perth")
    assert {"1"} == set(pipeline.documents("customers"))
    assert load(pipeline, REAL, people(p1="Cairns")).rows.loaded == 1


def test_an_older_export_that_is_loaded_before_it_is_done_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that was removed before it broke off is what that export says, and what the import
    withdrew stays withdrawn."""
    withdrawn = {"PERIDX": "2", "PRIVACY": "Yes", "CITY": "Hobart"}
    load(pipeline, WRONG, customers_csv({"PERIDX": "1"}, withdrawn))
    with monkeypatch.context() as patched:
        patched.setattr("shared.undoing.attempt.end", None)
        with pytest.raises(TypeError):
            run(pipeline)
    assert pipeline.documents("customers") == {}
    given = {"PERIDX": "2", "PRIVACY": "No", "CITY": "Perth"}
    assert load(pipeline, OLD, customers_csv(given)).rows.outdated == 1

    run(pipeline)

    assert cities(pipeline) == {"2": "Perth"}
    assert pipeline.documents("customers")["2"]["subscribed"] is False
    load(pipeline, "customers_20240601T090000Z", customers_csv(given))
    assert pipeline.documents("customers")["2"]["subscribed"] is True


def test_a_newer_export_that_is_loaded_before_it_is_done_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that was restored before it broke off is what that export says."""
    load(pipeline, OLD, people(p1="Perth", p2="Perth"))
    load(pipeline, WRONG, people(p1="Hobart", p2="Hobart"))
    with monkeypatch.context() as patched:
        patched.setattr("shared.undoing.attempt.end", None)
        with pytest.raises(TypeError):
            run(pipeline)
    assert cities(pipeline) == {"1": "Perth", "2": "Perth"}
    assert load(pipeline, REAL, people(p1="Cairns")).rows.outdated == 1

    run(pipeline)

    assert cities(pipeline) == {"1": "Cairns", "2": "Perth"}


def test_consent_stays_withdrawn_where_a_first_load_is_restored(pipeline: Pipeline) -> None:
    """A first load that says what a document is again says nothing about consent."""
    pipeline.upload(f"bulk/{OLD}.csv", people(p1="Perth"))
    pipeline.run_due()
    load(pipeline, WRONG, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))

    run(pipeline)

    assert (consent(pipeline), cities(pipeline)["1"]) == (False, "Perth")
