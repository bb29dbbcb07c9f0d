"""A file's whole way from its event to its documents, step by step and without waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from shared.core.errors import BadRequest, TryAgain
from shared.gcp.events import StorageObject
from shared.ledger.imports import Lease
from shared.ledger.store import LedgerTransaction
from shared.ledger.tasks import LoadTask
from shared.loading.worker import work
from shared.scheduling.beginning import Begun, begin
from shared.scheduling.intake import take_in
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import (
    Pipeline,
    csv_text,
    customers_csv,
    orders_csv,
)


def test_customers_become_documents(pipeline: Pipeline) -> None:
    """A customers file is scheduled at once, loaded, put away and reported."""
    text = customers_csv(
        {"PERIDX": "0012", "FIRSTNAME": "Zoë", "LAST_UPDATED": "2023-04-24T20:12:30"},
        {"PERIDX": "13", "PRIVACY": "Yes", "SHOE_SIZE": "42"},
    )

    taken = pipeline.upload("customers_20230501T115500Z.csv", text)

    assert taken is not None
    assert ("scheduled", at("12:00")) == (taken.status, taken.scheduled_for)
    assert pipeline.run_due() == ["loaded"]
    documents = pipeline.documents("customers")
    assert {
        "personId": "0012",
        "firstName": "Zoë",
        "address": {"city": "Hobart"},
        "email": "ana@example.com",
        "subscribed": True,
        "lastUpdated": datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC),
        "source": {
            "import": "customers_20230501T115500Z",
            "row": 2,
            "exportedAt": at("11:55"),
            "generation": taken.generation,
        },
    } == documents["0012"]
    assert (
        documents["13"]["subscribed"],
        documents["13"]["extra"],
    ) == (False, {"SHOE_SIZE": "42"})
    import_ = pipeline.import_("customers_20230501T115500Z")
    assert (import_.status, import_.status_text) == ("loaded", "2 of 2 rows loaded.")
    assert (
        import_.rows.read,
        import_.rows.loaded,
        import_.rows.unchanged,
        import_.rows.rejected,
        import_.rows.orphaned,
    ) == (2, 2, 0, 0, 0)
    assert [entry.status for entry in import_.history] == [
        "received",
        "scheduled",
        "loading",
        "loaded",
    ]
    assert (100, len(text.encode())) == (import_.progress.percent, import_.progress.bytes_read)
    assert (import_.lease, import_.error, import_.attempt) == (None, None, 1)
    assert {
        "processed/customers_20230501T115500Z.csv",
        "rejected/customers_20230501T115500Z.report.json",
        "rejected/customers_20230501T115500Z.summary.txt",
    } == pipeline.objects()
    report = pipeline.report("rejected/customers_20230501T115500Z.report.json")
    assert (report["status"], report["rows"]["loaded"], len(report["problems"])) == ("loaded", 2, 0)


def test_bad_rows_do_not_stop_good_ones(pipeline: Pipeline) -> None:
    """Good rows are loaded; each bad one is reported with line, column, code and reason."""
    good = [{"PERIDX": str(number)} for number in range(1, 9)]
    text = customers_csv(*good, {"PERIDX": "1.2E+12"}) + "10,too,short\r\n"
    pipeline.upload("pending/au/customers_20230501T115500Z.csv", text)

    assert pipeline.run_due() == ["loaded_with_rejects"]

    import_ = pipeline.import_("customers_20230501T115500Z", "au")
    assert (import_.rows.read, import_.rows.loaded, import_.rows.rejected) == (10, 8, 2)
    assert len(pipeline.documents("customers", "au")) == 8
    assert import_.reports.rejected == "rejected/au/customers_20230501T115500Z.rejected.csv"
    rejected = pipeline.rejected(import_.reports.rejected)
    assert [(row["line"], row["column"], row["code"]) for row in rejected] == [
        ("10", "PERIDX", "row.bad_key"),
        ("11", "", "row.cell_count"),
    ]
    assert [row["PERIDX"] for row in rejected] == ["1.2E+12", "10"]
    assert all(row["reason"] for row in rejected)
    assert "processed/au/customers_20230501T115500Z.csv" in pipeline.objects()


@pytest.mark.parametrize(
    ("good", "bad", "settings", "status"),
    [
        (1, 5, {}, "loaded_with_rejects"),
        (1, 6, {}, "rejected"),
        (24, 6, {}, "loaded_with_rejects"),
        (0, 1, {}, "rejected"),
        (1, 1, {"reject_floor": 0}, "rejected"),
        (8, 2, {"reject_floor": 0}, "loaded_with_rejects"),
        (0, 0, {}, "loaded"),
    ],
)
def test_the_limit_counts_above_a_floor(
    make: Make, good: int, bad: int, settings: dict[str, int], status: str
) -> None:
    """A few bad rows reject no file; more than the share does, and so does a file of bad rows."""
    pipeline = make(**settings)
    rows = [{"PERIDX": str(number)} for number in range(1, good + 1)]
    text = customers_csv(*rows, *[{"PERIDX": "x"}] * bad)
    pipeline.upload("customers_20230501T115500Z.csv", text)
    pipeline.upload("test/customers_20230501T115500Z.csv", text)

    checked = "rejected" if status == "rejected" else "checked"
    assert sorted([status, checked]) == sorted(pipeline.run_due())


def test_a_mended_rejected_file_loads(pipeline: Pipeline) -> None:
    """The rejected file, mended and sent under a new time, loads and adds no columns."""
    rows = [{"PERIDX": str(number), "NOTE": "=1+1, é"} for number in range(1, 9)]
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv(*rows, {"PERIDX": "x9"}))
    pipeline.run_due()

    sent_back = pipeline.services.bucket.blob(
        "rejected/customers_20230501T115500Z.rejected.csv"
    ).download_as_bytes()
    pipeline.clock.advance("12:10")
    pipeline.upload("customers_20230501T120500Z.csv", sent_back.replace(b"x9", b"9"))

    assert pipeline.run_due() == ["loaded"]
    documents = pipeline.documents("customers")
    assert len(documents) == 9
    assert "extra" not in documents["9"]


def test_too_many_bad_rows(pipeline: Pipeline) -> None:
    """A file with more bad rows than the limit is refused before anything of it is written."""
    rows = [{"PERIDX": "1"}, {"PERIDX": "2"}, *[{"PERIDX": "x"}] * 6]
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv(*rows))

    assert pipeline.run_due() == ["rejected"]

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.error is not None
    assert (
        import_.error.code,
        import_.rows.read,
        import_.rows.loaded,
        import_.rows.rejected,
    ) == ("file.too_many_bad_rows", 8, 0, 6)
    assert pipeline.documents("customers") == {}
    assert {
        "customers_20230501T115500Z.csv",
        "rejected/customers_20230501T115500Z.report.json",
        "rejected/customers_20230501T115500Z.summary.txt",
    } == pipeline.objects()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FIRSTNAME,EMAIL\r\nAna,ana@example.com\r\n", "header.missing_column"),
        ("PERIDX,FIRSTNAME\r\n1,Ana\r\n2,Be", "loaded"),
        ("PERIDX,FIRSTNAME\r\n1,Ana\r\n2", "file.truncated"),
        ('PERIDX,FIRSTNAME\r\n1,"Ana\r\n', "file.truncated"),
    ],
)
def test_unusable_files(pipeline: Pipeline, text: str, code: str) -> None:
    """A file that cannot be used is refused whole, with its code and what to do about it."""
    pipeline.upload("customers_20230501T115500Z.csv", text)

    (result,) = pipeline.run_due()

    import_ = pipeline.import_("customers_20230501T115500Z")
    if code == "loaded":
        assert result == "loaded"
        return
    assert result == "rejected"
    assert import_.error is not None
    assert code == import_.error.code
    assert import_.error.hint in import_.status_text
    report = pipeline.report("rejected/customers_20230501T115500Z.report.json")
    assert code == report["error"]["code"]
    assert import_.reports.rejected is None
    assert pipeline.documents("customers") == {}


def test_a_corrected_upload_takes_over(pipeline: Pipeline) -> None:
    """The same name with new content is loaded anew; the old generation stays on record."""
    name = "customers_20230501T115500Z.csv"
    first = pipeline.upload(name, "PERIDX,CITY\r\n1,Hobart\r\n2")
    pipeline.run_due()
    pipeline.clock.advance("12:10")

    second = pipeline.upload(name, "PERIDX,CITY\r\n1,Perth\r\n2,Cairns\r\n")

    assert first is not None
    assert second is not None
    assert pipeline.run_due() == ["loaded"]
    assert {
        key: document["address"]["city"]
        for key, document in pipeline.documents("customers").items()
    } == {"1": "Perth", "2": "Cairns"}
    old = pipeline.database.document(
        f"connections/main/imports/customers_20230501T115500Z/generations/{first.generation}"
    ).get()
    assert (old.to_dict() or {})["status"] == "superseded"


def test_the_same_event_again(pipeline: Pipeline) -> None:
    """An event delivered again changes nothing, before and after the load."""
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    take_in(event, pipeline.services)
    scheduled = pipeline.import_("customers_20230501T115500Z")

    take_in(event, pipeline.services)

    assert scheduled == pipeline.import_("customers_20230501T115500Z")
    assert pipeline.run_due() == ["loaded"]
    loaded = pipeline.import_("customers_20230501T115500Z")
    take_in(event, pipeline.services)
    assert pipeline.run_due() == []
    assert loaded == pipeline.import_("customers_20230501T115500Z")


def test_an_older_event_comes_late(pipeline: Pipeline) -> None:
    """The event of a content that has been replaced is left alone."""
    name = "customers_20230501T115500Z.csv"
    older = pipeline.put(name, customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:01")
    newer = pipeline.upload(name, customers_csv({"PERIDX": "2"}))

    assert newer == take_in(older, pipeline.services)
    assert pipeline.run_due() == ["loaded"]
    assert {"2"} == set(pipeline.documents("customers"))


def test_both_forms_of_a_time_are_one_import(pipeline: Pipeline) -> None:
    """Two objects that come to one id are one import: the later upload takes over."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:01")
    later = pipeline.upload(
        "pending/customers_2023-05-01T11:55:00Z.csv", customers_csv({"PERIDX": "2"})
    )

    assert later is not None
    assert later.import_id == "customers_20230501T115500Z"
    assert sorted(pipeline.run_due(), reverse=True) == ["superseded", "loaded"]
    assert {"2"} == set(pipeline.documents("customers"))


@pytest.mark.parametrize(
    ("name", "code", "suggestion"),
    [
        ("Customers_20230501T115500Z.csv", "name.wrong_case", "customers_20230501T115500Z.csv"),
        ("pending/au/orders_20230501T1155.csv", "name.", ""),
        ("readme.txt", "name.", ""),
    ],
)
def test_misnamed_files(pipeline: Pipeline, name: str, code: str, suggestion: str) -> None:
    """A misnamed file is recorded and reported with the reason and, if any, the right name."""
    import_ = pipeline.upload(name, customers_csv({"PERIDX": "1"}))

    assert import_ is not None
    assert import_.status == "rejected"
    assert import_.error is not None
    assert import_.error.code.startswith(code)
    assert suggestion in import_.error.message
    assert pipeline.run_due() == []
    assert import_.reports.report is not None
    assert import_.error.code == pipeline.report(import_.reports.report)["error"]["code"]


@pytest.mark.parametrize(
    "name", ["customers_20230501T115500Z.csv.filepart", ".hidden", "processed/x.csv", "test/"]
)
def test_ignored_objects(pipeline: Pipeline, name: str) -> None:
    """Temporary names and what the pipeline itself keeps leave no trace in the ledger."""
    assert pipeline.upload(name, "x") is None
    assert list(pipeline.database.collection_group("imports").stream()) == []


def test_another_bucket(pipeline: Pipeline) -> None:
    """An event about another bucket is not for this pipeline."""
    event = StorageObject(
        bucket="elsewhere",
        name="customers_20230501T115500Z.csv",
        generation=1,
        size=1,
        crc32c="",
        uploaded_at=at("12:00"),
    )

    with pytest.raises(BadRequest, match="elsewhere"):
        take_in(event, pipeline.services)


# -- orders after customers -------------------------------------------------------------------


def test_orders_follow_their_customers(pipeline: Pipeline) -> None:
    """Orders start half an hour after their customers file was uploaded, once it is loaded."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.clock.advance("12:05")

    orders = pipeline.upload(
        "orders_20230501T115500Z.csv",
        orders_csv({"ORDER_NUMBER": "D1"}, {"ORDER_NUMBER": "D1", "LINE_NUMBER": "2"}),
    )

    assert orders is not None
    assert ("scheduled", at("12:30"), "customers_20230501T115500Z") == (
        orders.status,
        orders.scheduled_for,
        orders.paired_with,
    )
    pipeline.clock.advance("12:29")
    assert pipeline.run_due() == []
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded"]
    order = pipeline.documents("orders")["D1"]
    assert (
        order["personId"],
        order["lineCount"],
        order["quantity"],
        order["valueCents"],
    ) == ("1", 2, 2, 1990)


def test_orders_wait_for_their_customers(pipeline: Pipeline) -> None:
    """Orders that come first wait without a task; their customers file schedules them."""
    waiting = pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert waiting is not None
    assert (waiting.status, waiting.task) == ("waiting", None)
    assert not pipeline.queue.waiting

    pipeline.clock.advance("13:00")
    pipeline.upload("customers_20230501T115000Z.csv", customers_csv({"PERIDX": "1"}))

    orders = pipeline.import_("orders_20230501T115500Z")
    assert ("scheduled", at("13:30")) == (orders.status, orders.scheduled_for)
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("13:30")
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.import_("orders_20230501T115500Z").rows.orphaned == 0


def test_orders_are_blocked_by_customers_that_have_not_ended(pipeline: Pipeline) -> None:
    """Orders whose time has come wait on for customers still unloaded, and go on by themselves."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (customers,) = pipeline.queue.due(at("12:00"))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["blocked"]

    orders = pipeline.import_("orders_20230501T115500Z")
    assert orders.blocked_by == "customers_20230501T115500Z"
    assert "customers_20230501T115500Z" in orders.status_text
    assert pipeline.documents("orders") == {}
    assert work(customers, pipeline.services) == "loaded"
    assert pipeline.run_due() == ["loaded"]
    assert {"D1"} == set(pipeline.documents("orders"))


def test_orders_wait_for_the_correction_of_their_customers(pipeline: Pipeline) -> None:
    """Rejected customers block their orders until a corrected upload has been loaded."""
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert pipeline.run_due() == ["rejected", "blocked"]

    pipeline.clock.advance("13:00")
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["not due", "loaded"]
    assert at("13:30") == pipeline.import_("orders_20230501T115500Z").scheduled_for
    pipeline.clock.advance("13:30")
    assert pipeline.run_due() == ["loaded"]


@pytest.mark.parametrize("name", ["customers_20230501T115500.csv", "customers_20230501.csv"])
def test_misnamed_customers_stop_no_orders(pipeline: Pipeline, name: str) -> None:
    """Orders take no notice of a misnamed file, even if its name begins like that of customers."""
    pipeline.upload(name, customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.upload("customers_20230501T115400Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded", "loaded"]


def test_misnamed_orders_stop_no_customers(pipeline: Pipeline) -> None:
    """Customers take no notice of a misnamed file whose name begins like that of orders."""
    pipeline.upload("orders_20230501T115500.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    pipeline.upload("customers_20230501T115400Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["loaded"]


def test_a_better_match_that_comes_late(pipeline: Pipeline) -> None:
    """Scheduled orders move to a later-exported customers file that arrives before they begin."""
    pipeline.upload("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.run_due()
    pipeline.clock.advance("12:20")

    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    orders = pipeline.import_("orders_20230501T115500Z")
    assert ("customers_20230501T115500Z", at("12:50")) == (orders.paired_with, orders.scheduled_for)
    pipeline.clock.advance("12:30")
    assert sorted(pipeline.run_due()) == ["loaded", "not due"]
    pipeline.clock.advance("12:50")
    assert pipeline.run_due() == ["loaded"]


def test_overdue_orders_are_held(pipeline: Pipeline) -> None:
    """Orders without customers are overdue after the deadline and go on when these arrive."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("17:59")
    assert pipeline.sweep()["revived"] == {}
    pipeline.clock.advance("18:00")

    assert pipeline.sweep()["revived"] == {"waiting": 1}

    assert pipeline.run_due() == ["overdue"]
    overdue = pipeline.import_("orders_20230501T115500Z")
    assert "6 hours" in overdue.status_text
    assert pipeline.sweep()["revived"] == {}
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("18:30")
    assert pipeline.run_due() == ["loaded"]


def test_overdue_orders_load_where_told_to(make: Make) -> None:
    """With ORDERS_WITHOUT_CUSTOMERS=load overdue orders are loaded, with a warning and orphans."""
    pipeline = make(orders_without_customers="load")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("18:00")
    pipeline.sweep()

    assert pipeline.run_due() == ["loaded"]

    import_ = pipeline.import_("orders_20230501T115500Z")
    assert import_.rows.orphaned == 1
    assert [warning["code"] for warning in import_.warnings] == [
        "order.without_customers_file",
        "order.customer_unknown",
    ]
    assert "D1" in import_.warnings[1]["message"]


def test_blocked_orders_become_overdue(pipeline: Pipeline) -> None:
    """Orders whose customers are never loaded are overdue after the deadline."""
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("12:30")
    assert sorted(pipeline.run_due()) == ["blocked", "rejected"]
    pipeline.clock.advance("18:00")
    pipeline.sweep()

    assert pipeline.run_due() == ["overdue"]


def test_rewards_follow_running_customers(pipeline: Pipeline) -> None:
    """Rewards load at once, unless customers are being loaded: then after them."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (customers,) = pipeline.queue.due(at("12:00"))
    _seize(pipeline, customers, until=at("12:01"))
    pipeline.upload("rewards_20230501T115500Z.csv", "PERIDX,TIER_NAME\r\n1,Gold\r\n")

    assert pipeline.run_due() == ["blocked"]

    pipeline.clock.advance("12:02")
    assert work(customers, pipeline.services) == "loaded"
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.documents("rewards")["1"]["tier"] == {"name": "Gold"}


def test_one_import_of_a_type_at_a_time(pipeline: Pipeline) -> None:
    """A second customers file waits while the first is being loaded, and then goes on by itself."""
    pipeline.upload("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    (first,) = pipeline.queue.due(at("12:00"))
    _seize(pipeline, first, until=at("12:01"))
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "2"}))

    assert pipeline.run_due() == ["blocked"]
    assert work(first, pipeline.services) == "at work"
    pipeline.clock.advance("12:02")
    assert pipeline.run_due() == ["loaded", "loaded"]
    assert {"1", "2"} == set(pipeline.documents("customers"))


def test_a_check_loads_nothing(pipeline: Pipeline) -> None:
    """A file in test/ gets its verdict at once and leaves the documents as they are."""
    rows = [{"PERIDX": str(number)} for number in range(1, 10)]
    pipeline.upload("test/au/customers_20230501T115500Z.csv", customers_csv(*rows, {"PERIDX": "?"}))
    pipeline.upload("test/au/orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    assert pipeline.run_due() == ["checked", "checked"]

    import_ = pipeline.import_("test_customers_20230501T115500Z", "au")
    assert "Dry run: 9 of 10 rows would load. 1 row has errors." in (import_.status_text)
    assert {} == pipeline.documents("customers", "au") == pipeline.documents("orders", "au")
    assert {
        "processed/au/test/customers_20230501T115500Z.csv",
        "processed/au/test/orders_20230501T115500Z.csv",
        "rejected/au/test/customers_20230501T115500Z.rejected.csv",
        "rejected/au/test/customers_20230501T115500Z.report.json",
        "rejected/au/test/customers_20230501T115500Z.summary.txt",
        "rejected/au/test/orders_20230501T115500Z.report.json",
        "rejected/au/test/orders_20230501T115500Z.summary.txt",
    } == pipeline.objects()


def test_a_first_load_only_creates(pipeline: Pipeline) -> None:
    """A file in bulk/ creates what is new, changes nothing and never touches consent."""
    pipeline.upload("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.upload(
        "bulk/customers_20230501T115500Z.csv",
        customers_csv({"PERIDX": "1", "CITY": "Perth"}, {"PERIDX": "2", "CITY": "Perth"}),
    )

    assert pipeline.run_due() == ["loaded"]

    import_ = pipeline.import_("bulk_customers_20230501T115500Z")
    assert (import_.rows.read, import_.rows.loaded, import_.rows.unchanged) == (2, 1, 1)
    documents = pipeline.documents("customers")
    assert documents["1"]["address"]["city"] == "Hobart"
    assert documents["2"]["address"]["city"] == "Perth"
    assert "subscribed" not in documents["2"]


# -- what the documents converge to -----------------------------------------------------------


def test_an_older_file_changes_nothing(pipeline: Pipeline) -> None:
    """A late file fills in what is new and leaves newer documents, consent above all, alone."""
    pipeline.upload(
        "customers_20230501T115500Z.csv",
        customers_csv({"PERIDX": "1", "CITY": "Perth", "PRIVACY": "Yes"}),
    )
    pipeline.run_due()
    pipeline.upload(
        "customers_20230501T100000Z.csv",
        customers_csv({"PERIDX": "1", "PRIVACY": "No"}, {"PERIDX": "2"}),
    )

    assert pipeline.run_due() == ["loaded"]

    documents = pipeline.documents("customers")
    assert (documents["1"]["address"]["city"], documents["1"]["subscribed"]) == ("Perth", False)
    import_ = pipeline.import_("customers_20230501T100000Z")
    assert import_.status_text == "1 of 2 rows loaded. 1 row is older than the stored data."
    rows = import_.rows
    assert (rows.read, rows.loaded, rows.unchanged, rows.outdated) == (2, 1, 0, 1)
    report = pipeline.report("rejected/customers_20230501T100000Z.report.json")
    assert report["rows"]["outdated"] == 1
    assert documents["2"]["address"]["city"] == "Hobart"


def test_blank_consent_changes_no_consent(pipeline: Pipeline) -> None:
    """Blank or unknown consent subscribes nobody, keeps what is stored, and is warned of."""
    pipeline.upload(
        "customers_20230501T110000Z.csv",
        customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}, {"PERIDX": "2", "PRIVACY": "No"}),
    )
    pipeline.run_due()
    pipeline.upload(
        "customers_20230501T115500Z.csv",
        customers_csv(
            {"PERIDX": "1", "PRIVACY": "", "CITY": "Perth"},
            {"PERIDX": "2", "PRIVACY": "maybe"},
            {"PERIDX": "3", "PRIVACY": ""},
        ),
    )

    assert pipeline.run_due() == ["loaded"]

    documents = pipeline.documents("customers")
    assert [documents[key].get("subscribed") for key in "123"] == [False, True, None]
    assert documents["1"]["address"]["city"] == "Perth"
    warnings = {
        warning["code"]: warning["count"]
        for warning in pipeline.import_("customers_20230501T115500Z").warnings
    }
    assert warnings["row.consent_unknown"] == 3


def test_the_same_key_twice(pipeline: Pipeline) -> None:
    """Of two rows of one key the one updated last is loaded; the other counts as unchanged."""
    pipeline.upload(
        "customers_20230501T115500Z.csv",
        customers_csv(
            {"PERIDX": "1", "CITY": "Perth", "LAST_UPDATED": "2023-05-01T10:00:00"},
            {"PERIDX": "1", "CITY": "Cairns", "LAST_UPDATED": "2023-04-30T10:00:00"},
        ),
    )

    assert pipeline.run_due() == ["loaded"]

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert (import_.rows.read, import_.rows.loaded, import_.rows.unchanged) == (2, 1, 1)
    assert pipeline.documents("customers")["1"]["address"]["city"] == "Perth"
    assert [warning["code"] for warning in import_.warnings] == ["row.duplicate_key"]


def test_the_same_bytes_under_a_new_name(pipeline: Pipeline) -> None:
    """A file with the content of a loaded one says so in a warning."""
    text = customers_csv({"PERIDX": "1"})
    pipeline.upload("customers_20230501T110000Z.csv", text)
    pipeline.run_due()
    pipeline.upload("customers_20230501T115500Z.csv", text)

    assert pipeline.run_due() == ["loaded"]

    (warning,) = pipeline.import_("customers_20230501T115500Z").warnings
    assert warning["code"] == "file.same_content"
    assert "customers_20230501T110000Z" in warning["message"]


def test_lines_of_an_order_may_be_anywhere(pipeline: Pipeline) -> None:
    """The lines of one order are put together however they are spread over the file."""
    rows = [
        {"ORDER_NUMBER": f"D{number % 50}", "LINE_NUMBER": str(number // 50 + 1)}
        for number in range(200)
    ]
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv(*rows))
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded", "loaded"]

    orders = pipeline.documents("orders")
    assert len(orders) == 50
    assert {4} == {order["lineCount"] for order in orders.values()}
    assert pipeline.import_("orders_20230501T115500Z").rows.loaded == 200


def test_a_bad_line_of_an_order(pipeline: Pipeline) -> None:
    """An order loads without its bad line; the rejected file holds it whole, for the mend."""
    rows = [{"ORDER_NUMBER": f"D{number}"} for number in range(10)]
    bad = {"ORDER_NUMBER": "D3", "LINE_NUMBER": "2", "QUANTITY": "two"}
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv(*rows, bad))
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded", "loaded_with_rejects"]
    import_ = pipeline.import_("orders_20230501T115500Z")
    assert (import_.rows.read, import_.rows.loaded, import_.rows.rejected) == (11, 10, 1)
    assert pipeline.documents("orders")["D3"]["lineCount"] == 1
    rejected = pipeline.rejected("rejected/orders_20230501T115500Z.rejected.csv")
    assert {"row.bad_number", "order.other_line_rejected"} == {row["code"] for row in rejected}
    assert [row["ORDER_NUMBER"] for row in rejected] == ["D3", "D3"]

    text = pipeline.read("rejected/orders_20230501T115500Z.rejected.csv").replace("two", "2")
    pipeline.upload("orders_20230501T120000Z.csv", text)
    assert pipeline.run_due() == ["loaded"]

    order = pipeline.documents("orders")["D3"]
    assert (order["lineCount"], order["quantity"]) == (2, 3)


# -- faults -----------------------------------------------------------------------------------


def test_the_queue_is_out_of_reach(pipeline: Pipeline) -> None:
    """An event whose task could not be enqueued must come again, and then finishes its work."""
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.broken = True
    with pytest.raises(TryAgain):
        take_in(event, pipeline.services)
    assert pipeline.import_("customers_20230501T115500Z").status == "received"
    pipeline.queue.broken = False

    take_in(event, pipeline.services)

    assert pipeline.import_("customers_20230501T115500Z").status == "scheduled"
    assert pipeline.run_due() == ["loaded"]


def test_waiting_orders_are_not_forgotten_when_the_queue_fails(pipeline: Pipeline) -> None:
    """Orders that a customers file was about to schedule are scheduled by its next event."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.broken = True
    with pytest.raises(TryAgain):
        take_in(event, pipeline.services)
    assert pipeline.import_("orders_20230501T115500Z").status == "waiting"
    pipeline.queue.broken = False

    take_in(event, pipeline.services)

    assert pipeline.import_("orders_20230501T115500Z").status == "scheduled"
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded", "loaded"]


def test_a_worker_that_died(make: Make) -> None:
    """A dead worker's import is taken over when its lease is over, and loaded to the end."""
    pipeline = make()
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    _seize(pipeline, task, until=at("12:01"))

    assert work(task, pipeline.services) == "at work"
    pipeline.clock.advance("12:01")
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.import_("customers_20230501T115500Z").attempt == 2


def test_orders_whose_worker_died_and_whose_customers_are_corrected(pipeline: Pipeline) -> None:
    """They wait for the correction, and hold up no other orders meanwhile."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("12:30")
    (task,) = pipeline.queue.due(at("12:30"))
    _seize(pipeline, task, until=at("12:31"))
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.clock.advance("13:10")

    assert work(task, pipeline.services) == "blocked"

    assert pipeline.services.ledger.feed("main", "orders").running is None


def test_workers_that_keep_dying(make: Make) -> None:
    """After the last attempt the import is failed, and says so."""
    pipeline = make(max_attempts=2)
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    _seize(pipeline, task, until=at("12:01"), attempt=2)
    pipeline.clock.advance("12:02")

    assert work(task, pipeline.services) == "out of attempts"

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.status == "failed"
    assert import_.error is not None
    assert import_.error.code == "system.worker_lost"


def test_a_fault_outside_the_file(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is repeated until the attempts are used up; then the import is failed."""
    pipeline = make(max_attempts=2)
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))

    def out_of_reach(*_: Any, **__: Any) -> None:
        raise TryAgain("Cloud Storage cannot be reached: ServiceUnavailable")

    monkeypatch.setattr("shared.loading.attempt.Source", out_of_reach)
    with pytest.raises(TryAgain):
        work(task, pipeline.services)
    import_ = pipeline.import_("customers_20230501T115500Z")
    assert (import_.status, import_.lease) == ("scheduled", None)
    assert "Attempt 1 of 2" in import_.status_text

    assert work(task, pipeline.services) == "failed"

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.status == "failed"
    assert import_.error is not None
    assert "ServiceUnavailable" in import_.error.message


def test_a_wrong_setting(pipeline: Pipeline) -> None:
    """A setting that cannot be used fails the import and is named."""
    pipeline.database.document("connections/au").set({"timeZone": "Sydney"})
    pipeline.upload("au/customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["failed"]

    import_ = pipeline.import_("customers_20230501T115500Z", "au")
    assert import_.error is not None
    assert import_.error.code == "settings.invalid"
    assert "connections/au.timeZone" in import_.status_text


def test_an_empty_object_may_fill_up(pipeline: Pipeline) -> None:
    """A 0-byte object waits for its content, which takes over when it comes."""
    pipeline.upload("customers_20230501T115500Z.csv", "")
    assert not pipeline.queue.waiting
    assert pipeline.import_("customers_20230501T115500Z").status == "received"
    pipeline.clock.advance(timedelta(seconds=2))

    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["loaded"]


def test_an_empty_object_that_stays_empty(pipeline: Pipeline) -> None:
    """A 0-byte object that stays empty is rejected after its grace."""
    pipeline.upload("customers_20230501T115500Z.csv", "")
    pipeline.clock.advance("12:05")
    assert pipeline.sweep()["revived"] == {"received": 1}

    assert pipeline.run_due() == ["rejected"]

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.error is not None
    assert import_.error.code == "file.empty"


def test_empty_customers_do_not_count_as_come(pipeline: Pipeline) -> None:
    """Orders are not paired with a customers file that has no content yet."""
    pipeline.upload("customers_20230501T115500Z.csv", "")

    orders = pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    assert orders is not None
    assert orders.status == "waiting"


@pytest.mark.parametrize("type", ["customers", "orders", "rewards"])
def test_a_file_without_rows(pipeline: Pipeline, type: str) -> None:
    """A header alone is a good file with nothing to load."""
    headers = {
        "customers": customers_csv(),
        "orders": orders_csv(),
        "rewards": csv_text(["PERIDX", "TIER_NAME"], []),
    }
    pipeline.upload("customers_20230501T110000Z.csv", headers["customers"])
    pipeline.upload(f"{type}_20230501T115500Z.csv", headers[type])
    pipeline.clock.advance("12:30")
    pipeline.run_due()

    import_ = pipeline.import_(f"{type}_20230501T115500Z")
    assert (
        import_.status,
        import_.status_text,
    ) == ("loaded", "The file has no rows, so there was nothing to load.")


def test_lost_tasks_are_found(pipeline: Pipeline) -> None:
    """The sweep gives an import whose task has vanished a new one."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.waiting.clear()
    pipeline.clock.advance("12:09")
    assert pipeline.sweep()["revived"] == {}
    pipeline.clock.advance("12:10")

    assert pipeline.sweep()["revived"] == {"scheduled": 1}
    assert pipeline.run_due() == ["loaded"]


def test_more_tasks_than_needed_do_no_harm(pipeline: Pipeline) -> None:
    """Tasks of unknown, superseded or ended imports are answered and change nothing."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    assert work(task, pipeline.services) == "loaded"
    before = pipeline.import_("customers_20230501T115500Z")

    assert work(task, pipeline.services) == "ended"
    assert (
        work(
            LoadTask(connection="main", import_id=task.import_id, generation=1, number=1),
            pipeline.services,
        )
        == "superseded"
    )
    assert (
        work(
            LoadTask(connection="main", import_id="customers_x", generation=1, number=1),
            pipeline.services,
        )
        == "unknown import"
    )
    assert before == pipeline.import_("customers_20230501T115500Z")


def test_firestore_is_out_of_reach(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger an event must come again."""
    pipeline = make()
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    nowhere = Pipeline.over(firestore.Client(project="x"), pipeline.services.bucket.client)
    monkeypatch.setattr(
        "google.cloud.firestore_v1.services.firestore.client.FirestoreClient.begin_transaction",
        _unavailable,
    )

    with pytest.raises(TryAgain):
        take_in(event, nowhere.services)


def _unavailable(*_: Any, **__: Any) -> None:
    raise exceptions.ServiceUnavailable("down")  # type: ignore[no-untyped-call]


def _seize(pipeline: Pipeline, task: LoadTask, *, until: datetime, attempt: int = 1) -> None:
    """Let a worker begin a task and fall silent."""
    begun = begin(task, pipeline.services)
    assert isinstance(begun, Begun)

    def change(ledger: LedgerTransaction) -> None:
        current = ledger.import_(task.connection, task.import_id)
        assert current is not None
        assert current.lease is not None
        ledger.put(
            replace(
                current,
                attempt=attempt,
                lease=Lease(owner=current.lease.owner, expires_at=until),
            )
        )

    pipeline.services.ledger.transact(change)
