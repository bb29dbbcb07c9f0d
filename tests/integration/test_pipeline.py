"""A file's whole way from its event to its documents, step by step and without waiting."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.core.errors import BadRequest
from shared.gcp.events import StorageObject
from shared.scheduling.intake import take_in
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv, orders_csv


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
    assert isinstance(documents["0012"]["source"].pop("content"), int)
    assert {
        "personId": "0012",
        "firstName": "Zoë",
        "address": {"city": "Hobart"},
        "email": "ana@example.com",
        "emailLower": "ana@example.com",
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
        "reports/customers_20230501T115500Z.report.json",
        "reports/customers_20230501T115500Z.summary.txt",
    } == pipeline.objects()
    report = pipeline.report("reports/customers_20230501T115500Z.report.json")
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
        "reports/customers_20230501T115500Z.report.json",
        "reports/customers_20230501T115500Z.summary.txt",
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
    report = pipeline.report("reports/customers_20230501T115500Z.report.json")
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
        "reports/au/test/customers_20230501T115500Z.report.json",
        "reports/au/test/customers_20230501T115500Z.summary.txt",
        "reports/au/test/orders_20230501T115500Z.report.json",
        "reports/au/test/orders_20230501T115500Z.summary.txt",
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
    report = pipeline.report("reports/customers_20230501T100000Z.report.json")
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
