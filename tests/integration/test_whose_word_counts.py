"""What a document ends as when rows leave things open, cannot be read, or contradict each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from shared.firestore.bulk.transport import Transport
from shared.index.feed import Successor
from shared.index.session import Indexing
from shared.ledger.imports import Import
from tests.integration.conftest import Make
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

CUSTOMERS = "customers_20230501T{}00Z"
ORDERS = "orders_20230501T{}00Z"


def load(pipeline: Pipeline, time: str, *rows: dict[str, object]) -> Import:
    """Load a customers file exported at a time of day, in parts or not; return its import."""
    name = CUSTOMERS.format(time)
    pipeline.upload(f"{name}.csv", customers_csv(*rows))
    while pipeline.run_due():
        pass
    import_ = pipeline.import_(name)
    assert import_.status == "loaded"
    return import_


def load_orders(
    pipeline: Pipeline,
    time: str,
    *rows: dict[str, object],
    ends: str = "loaded",
    text: str | None = None,
) -> Import:
    """Load an orders file exported at a time of day, with a customers file of that time."""
    load(pipeline, time, {"PERIDX": "1"})
    name = ORDERS.format(time)
    pipeline.upload(f"{name}.csv", orders_csv(*rows) if text is None else text)
    pipeline.clock.advance(timedelta(hours=1))
    while pipeline.run_due():
        pass
    import_ = pipeline.import_(name)
    assert ends == import_.status
    return import_


def told(import_: Import) -> dict[str, int]:
    """Return how often an import tells of orders with a rejected line."""
    codes = ("order.incomplete", "order.kept_complete")
    return {one["code"]: one["count"] for one in import_.warnings if one["code"] in codes}


def customer(pipeline: Pipeline, key: str = "1") -> dict[str, Any]:
    """Return a customer, as stored."""
    return pipeline.documents("customers")[key]


GOOD: dict[str, object] = {
    "PERIDX": "1",
    "FIRSTNAME": "Ana",
    "CITY": "Hobart",
    "DOB": "1990-04-24",
    "EMAIL": "ana@example.com",
    "PRIVACY": "No",
}


@pytest.mark.parametrize("blank_means", ["clear", "keep"])
def test_what_cannot_be_read_changes_nothing(make: Make, blank_means: str) -> None:
    """Values that cannot be read stay as they are stored, whatever blank cells mean."""
    pipeline = make(blank_means=blank_means)
    load(pipeline, "1100", GOOD)

    load(pipeline, "1200", {**GOOD, "CITY": "", "DOB": "24/04/1990", "EMAIL": "ana"})

    stored = customer(pipeline)
    assert (stored["dateOfBirth"], stored["email"]) == ("1990-04-24", "ana@example.com")
    assert ("address" in stored) == (blank_means == "keep")


@pytest.mark.parametrize("blank_means", ["clear", "keep"])
def test_both_spellings_of_an_address(make: Make, blank_means: str) -> None:
    """The address in lower case is set, kept and cleared together with the address."""
    pipeline = make(blank_means=blank_means)

    def spellings(stamp: str, cell: str) -> tuple[object, object]:
        load(pipeline, stamp, {**GOOD, "EMAIL": cell})
        return customer(pipeline).get("email"), customer(pipeline).get("emailLower")

    ana = ("Ana@Example.com", "ana@example.com")
    assert ana == spellings("1100", "Ana@Example.com")
    assert ana == spellings("1200", "ana")
    assert spellings("1300", "") == (ana if blank_means == "keep" else (None, None))
    assert ("BO@x.com", "bo@x.com") == spellings("1400", "BO@x.com")
    assert ("BO@x.com", "bo@x.com") == spellings("1130", "Cy@x.com")


def test_what_cannot_be_read_in_a_new_document(make: Make) -> None:
    """A new document lacks what cannot be read; an older file that comes late fills it in."""
    pipeline = make()
    load(pipeline, "1200", {**GOOD, "DOB": "24/04/1990"})
    assert "dateOfBirth" not in customer(pipeline)

    load(pipeline, "1100", {**GOOD, "CITY": "Perth"})

    assert customer(pipeline)["dateOfBirth"] == "1990-04-24"
    assert customer(pipeline)["address"] == {"city": "Hobart"}


def test_a_column_of_ones_own_that_cannot_be_read(make: Make) -> None:
    """Of a row with such a cell, the columns that no table knows stay as they are stored."""
    pipeline = make()
    load(pipeline, "1100", {**GOOD, "SIZE": "8", "CLUB": "gold"})

    load(pipeline, "1200", {**GOOD, "CITY": "Perth", "SIZE": "\ufffd", "CLUB": "gold"})

    assert customer(pipeline)["extra"] == {"SIZE": "8", "CLUB": "gold"}
    assert customer(pipeline)["address"] == {"city": "Perth"}


@pytest.mark.parametrize("zone", ["", "Z", "+10"])
def test_times_are_compared_with_all_their_digits(make: Make, zone: str) -> None:
    """Of two rows that differ by less than a microsecond the later one counts."""
    pipeline = make()
    later = {**GOOD, "LAST_UPDATED": f"2023-04-24T10:00:00.1234568{zone}"}
    before = {**GOOD, "CITY": "Perth", "LAST_UPDATED": f"2023-04-24T10:00:00.1234567{zone}"}

    load(pipeline, "1200", later, {**before, "PRIVACY": "Yes"})

    assert customer(pipeline)["address"] == {"city": "Hobart"}
    assert customer(pipeline)["subscribed"]


def test_cleared_stays_cleared(make: Make) -> None:
    """A cleared value is not filled by an older file after the connection has turned to keep."""
    pipeline = make()
    load(pipeline, "1200", {**GOOD, "CITY": ""})
    pipeline.database.document("connections/main").set({"blankMeans": "keep"})
    load(pipeline, "1300", {**GOOD, "CITY": ""})

    load(pipeline, "1100", GOOD)

    assert "address" not in customer(pipeline)


def test_an_orders_own_fields(make: Make) -> None:
    """Fields of an order that cannot be read keep what is stored."""
    pipeline = make()
    good: dict[str, object] = {
        "ORDER_NUMBER": "D1",
        "CURRENCY": "AUD",
        "EMAIL": "ana@example.com",
    }
    load_orders(pipeline, "1100", good)

    load_orders(pipeline, "1200", {**good, "CURRENCY": "$", "EMAIL": "ana"})

    (stored,) = pipeline.documents("orders").values()
    assert (stored["currency"], stored["email"]) == ("AUD", "ana@example.com")
    assert f"{ORDERS.format('1200')}" == stored["source"]["import"]


ROWS: list[dict[str, object]] = [
    {"PERIDX": "1", "PRIVACY": "Yes", "DOB": "", "LAST_UPDATED": "2023-04-24T10:00:00"},
    {"PERIDX": "1", "PRIVACY": "?", "DOB": "", "LAST_UPDATED": "2023-04-24T11:00:00"},
    {"PERIDX": "1", "PRIVACY": "", "DOB": "24/4/90", "LAST_UPDATED": "2023-04-24T12:00:00"},
]
"""Rows of one person, as they were changed one after the other."""


@pytest.mark.parametrize("blank_means", ["clear", "keep"])
@pytest.mark.parametrize("chunk", [1, 1000])
@pytest.mark.parametrize("shards", [False, True])
def test_rows_of_one_person(
    make: Make, blank_means: str, chunk: int, shards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several rows of a person in one file come to what several files come to, in any order."""
    first = {**GOOD, "PERIDX": "1", "LAST_UPDATED": "2023-04-24T09:00:00"}
    pipeline = make(blank_means=blank_means)
    for hour, row in enumerate([first, *ROWS]):
        load(pipeline, f"{10 + hour}00", row)
    expected = customer(pipeline)
    monkeypatch.setattr("shared.parsing.csv.reader.CHUNK_ROWS", chunk)

    others: list[dict[str, object]] = [{"PERIDX": str(number)} for number in range(2, 5)]
    for place, order in enumerate(itertools.permutations(ROWS)):
        pipeline = make(blank_means=blank_means, **({"shard_bytes": 100} if shards else {}))
        pipeline.database.document("connections/main/customers/1").delete()
        load(pipeline, f"14{place * 2:02}", first)
        rows = [one for pair in zip(order, others, strict=True) for one in pair]

        import_ = load(pipeline, f"14{place * 2 + 1:02}", *rows)

        stored = customer(pipeline)
        source = stored.pop("source")
        assert {name: value for name, value in expected.items() if name != "source"} == stored
        assert 2 + rows.index(ROWS[2]) == source["row"]
        assert (import_.rows.read, import_.rows.rejected) == (6, 0)


def test_a_time_that_cannot_be_read(pipeline: Pipeline) -> None:
    """Where it is not known which row is the later, a withdrawal of consent counts."""
    unknown: dict[str, object] = {
        "PERIDX": "1",
        "PRIVACY": "Yes",
        "LAST_UPDATED": "2023-04-24 8:12:30 PM",
    }

    load(pipeline, "1100", unknown, {**GOOD, "LAST_UPDATED": "2023-04-20T20:12:30"})

    assert customer(pipeline)["subscribed"] is False
    assert customer(pipeline)["dateOfBirth"] == "1990-04-24"


LINES: list[dict[str, object]] = [
    {"ORDER_NUMBER": "D1", "LINE_NUMBER": 1},
    {"ORDER_NUMBER": "D1", "LINE_NUMBER": 2},
]
BAD: list[dict[str, object]] = [LINES[0], {**LINES[1], "QUANTITY": "x"}]
OTHER: dict[str, object] = {"ORDER_NUMBER": "D2", "LINE_NUMBER": 1}


@pytest.mark.parametrize("shards", [False, True])
def test_a_new_order_with_a_bad_line(make: Make, shards: bool) -> None:
    """Its good lines are loaded, the document says so, and the next whole order replaces it."""
    pipeline = make(**({"shard_bytes": 100} if shards else {}))
    import_ = load_orders(pipeline, "1200", *BAD, OTHER, ends="loaded_with_rejects")
    stored = pipeline.documents("orders")
    assert (stored["D1"]["incomplete"], stored["D1"]["lineCount"]) == (True, 1)
    assert "incomplete" not in stored["D2"]
    assert told(import_) == {"order.incomplete": 1}

    load_orders(pipeline, "1100", *LINES)  # an older one, which comes late

    stored = pipeline.documents("orders")
    assert stored["D1"]["lineCount"] == 2
    assert "incomplete" not in stored["D1"]


def test_a_new_order_with_a_bad_line_is_not_asked_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing has been loaded before, it is created without a read, like all others."""
    asked: list[str] = []
    get = Transport.get

    def note(self: Transport, names: Sequence[str], *args: Any, **how: Any) -> Any:
        asked.extend(name for name in names if "/orders/" in name)
        return get(self, names, *args, **how)

    monkeypatch.setattr(Transport, "get", note)
    pipeline = make()
    load_orders(pipeline, "1200", *BAD, OTHER, ends="loaded_with_rejects")

    assert (sorted(pipeline.documents("orders")), asked) == (["D1", "D2"], [])


def test_an_order_with_a_bad_line_that_the_pipeline_has_not_written(make: Make) -> None:
    """It does not replace what somebody else has stored."""
    pipeline = make()
    theirs = {"lineCount": 2}
    pipeline.database.document("connections/main/orders/D1").set(theirs)

    import_ = load_orders(pipeline, "1200", *BAD, OTHER, ends="loaded_with_rejects")

    stored = pipeline.documents("orders")
    assert (theirs, 1) == (stored["D1"], stored["D2"]["lineCount"])
    assert told(import_) == {"order.incomplete": 1, "order.kept_complete": 1}


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("bad", [BAD, None])
def test_a_stored_order_with_a_bad_line(
    make: Make, bad: list[dict[str, object]] | None, shards: bool
) -> None:
    """A complete order that is stored stays as it is; its good lines are sent back, too."""
    pipeline = make(**({"shard_bytes": 100} if shards else {}))
    load_orders(pipeline, "1100", *LINES, OTHER)
    before = pipeline.documents("orders")["D1"]
    text = orders_csv(*(bad or LINES), {**OTHER, "QUANTITY": "3"})
    if bad is None:  # the second line lacks a cell
        text = text.replace(",2,S1,", ",2,")

    import_ = load_orders(pipeline, "1200", ends="loaded_with_rejects", text=text)

    stored = pipeline.documents("orders")
    assert before == stored["D1"]
    assert stored["D2"]["quantity"] == 3
    assert (import_.rows.read, import_.rows.loaded, import_.rows.rejected) == (3, 1, 2)
    assert len(pipeline.rejected(f"rejected/{ORDERS.format('1200')}.rejected.csv")) == 2
    assert told(import_) == {"order.incomplete": 1, "order.kept_complete": 1}


def test_a_correction_of_a_complete_order_that_replaced_a_newer_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer one lacked a line, so it does not count against the correction, either: not even
    if the import with the complete one never came to its end."""
    pipeline = make(max_attempts=1)
    load_orders(pipeline, "1200", *BAD, OTHER, ends="loaded_with_rejects")

    successor = Indexing.successor

    def dies(index: Indexing) -> Successor:
        if pipeline.services.ledger.feed("main", "orders").running is not None:
            raise RuntimeError("The worker dies.")
        return successor(index)

    with monkeypatch.context() as patched:
        patched.setattr(Indexing, "successor", dies)
        load_orders(pipeline, "1100", *LINES, ends="failed")
    assert pipeline.documents("orders")["D1"]["lineCount"] == 2

    load_orders(pipeline, "1100", LINES[1])

    assert [line["lineNumber"] for line in pipeline.documents("orders")["D1"]["lines"]] == [2]


def test_an_unchanged_order_with_a_bad_line(pipeline: Pipeline) -> None:
    """It is not written again, and counts as what its latest file says of it."""
    load_orders(pipeline, "1100", *BAD, OTHER, ends="loaded_with_rejects")
    again = load_orders(pipeline, "1300", *BAD, OTHER, ends="loaded_with_rejects")
    assert (again.rows.loaded, again.rows.unchanged) == (0, 2)
    late = {**LINES[0], "QUANTITY": "7"}, BAD[1], OTHER

    late_import = load_orders(pipeline, "1200", *late, ends="loaded_with_rejects")

    assert late_import.rows.outdated == 2
    assert pipeline.documents("orders")["D1"]["quantity"] == 1


@pytest.mark.parametrize("cell", ["D1\u200b", "\u2060D1", "'D1", "\ufeffD1 "])
def test_a_broken_line_whose_key_is_read_without_its_marks(make: Make, cell: str) -> None:
    """A line that does not fit the header is one of the order that its key is read as."""
    pipeline = make()
    load_orders(pipeline, "1100", *LINES)
    text = orders_csv(*LINES).replace("1,D1,2023-05-01,2,S1,", f"1,{cell},2023-05-01,2,")
    assert cell in text

    import_ = load_orders(pipeline, "1200", ends="loaded_with_rejects", text=text)

    assert pipeline.documents("orders")["D1"]["lineCount"] == 2
    assert told(import_) == {"order.incomplete": 1, "order.kept_complete": 1}


def test_a_first_load_takes_no_consent(pipeline: Pipeline) -> None:
    """A first load says how many rows hold consent that it does not take."""
    rows = [{**GOOD, "PERIDX": str(number)} for number in range(1, 5)]
    rows[3]["PRIVACY"] = ""
    rows[2]["PRIVACY"] = "Yes"
    pipeline.upload(f"bulk/{CUSTOMERS.format('1100')}.csv", customers_csv(*rows))
    pipeline.run_due()

    assert all("subscribed" not in one for one in pipeline.documents("customers").values())
    import_ = pipeline.import_(f"bulk_{CUSTOMERS.format('1100')}")
    counts = {one["code"]: one["count"] for one in import_.warnings}
    assert counts["row.consent_not_taken"] == 3
