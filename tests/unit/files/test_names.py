"""Names: what is loaded, what is refused and what is suggested instead."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.codes import CODES
from shared.files.folders import FOLDERS, Mode, is_connection
from shared.files.names import (
    TYPES,
    ExportFile,
    Ignored,
    Misnamed,
    object_name,
    parse_import_id,
    read_name,
)

AT = datetime(2023, 4, 24, 20, 12, 30, tzinfo=UTC)
GOOD = "customers_20230424T201230Z.csv"
LONG = "a" * 39

RIGHT: list[tuple[str, str, str, Mode, str]] = [
    # object, connection, folder, mode, import id
    ("customers_20230424T201230Z.csv", "main", "", "load", "customers_20230424T201230Z"),
    ("customers_2023-04-24T20:12:30Z.csv", "main", "", "load", "customers_20230424T201230Z"),
    ("orders_20230101T120101Z.csv", "main", "", "load", "orders_20230101T120101Z"),
    ("rewards_20240229T235959Z.csv", "main", "", "load", "rewards_20240229T235959Z"),
    ("orders_00010101T000000Z.csv", "main", "", "load", "orders_00010101T000000Z"),
    ("pending/orders_20230101T120101Z.csv", "main", "", "load", "orders_20230101T120101Z"),
    ("pending/au/orders_20230101T120101Z.csv", "au", "au", "load", "orders_20230101T120101Z"),
    ("pending/main/orders_20230101T120101Z.csv", "main", "main", "load", "orders_20230101T120101Z"),
    ("au/orders_20230101T120101Z.csv", "au", "au", "load", "orders_20230101T120101Z"),
    ("9_a-b/orders_20230101T120101Z.csv", "9_a-b", "9_a-b", "load", "orders_20230101T120101Z"),
    (f"{LONG}/orders_20230101T120101Z.csv", LONG, LONG, "load", "orders_20230101T120101Z"),
    ("test/orders_20230101T120101Z.csv", "main", "", "test", "test_orders_20230101T120101Z"),
    ("test/nz/orders_20230101T120101Z.csv", "nz", "nz", "test", "test_orders_20230101T120101Z"),
    ("bulk/orders_20230101T120101Z.csv", "main", "", "bulk", "bulk_orders_20230101T120101Z"),
    (
        "bulk/nz/rewards_2023-01-01T12:01:01Z.csv",
        "nz",
        "nz",
        "bulk",
        "bulk_rewards_20230101T120101Z",
    ),
]

WRONG: list[tuple[str, str, str | None]] = [
    # object, code, suggestion
    ("Customers_20230424T201230Z.csv", "name.wrong_case", GOOD),
    ("CUSTOMERS_20230424T201230Z.csv", "name.wrong_case", GOOD),
    ("cUSTOMERS_20230424T201230Z.csv", "name.wrong_case", GOOD),
    ("customers_20230424t201230Z.csv", "name.wrong_case", GOOD),
    ("customers_20230424T201230z.csv", "name.wrong_case", GOOD),
    ("customer_20230424T201230Z.csv", "name.misspelt_type", GOOD),
    ("Customer_20230424T201230Z.csv", "name.misspelt_type", GOOD),
    ("custmers_20230424T201230Z.csv", "name.misspelt_type", GOOD),
    ("order_20230424T201230Z.csv", "name.misspelt_type", "orders_20230424T201230Z.csv"),
    ("ordres_20230424T201230Z.csv", "name.misspelt_type", "orders_20230424T201230Z.csv"),
    ("reward_20230424T201230Z.csv", "name.misspelt_type", "rewards_20230424T201230Z.csv"),
    ("au_customers_20230424T201230Z.csv", "name.misspelt_type", GOOD),
    ("customers-20230424T201230Z.csv", "name.wrong_separator", GOOD),
    ("customers 20230424T201230Z.csv", "name.wrong_separator", GOOD),
    ("customers__20230424T201230Z.csv", "name.wrong_separator", GOOD),
    ("customers20230424T201230Z.csv", "name.wrong_separator", GOOD),
    ("20230424T201230Z_customers.csv", "name.wrong_order", GOOD),
    ("customers_20230424T201230Z.CSV", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.Csv", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.csv.csv", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.csv.txt", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.txt", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.xlsx", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.csv.gz", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.csv.1", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.csv.", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z.", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z", "name.wrong_extension", GOOD),
    ("customers_20230424T201230Z-(1).csv", "name.copy", GOOD),
    ("customers_20230424T201230Z (1).csv", "name.copy", GOOD),
    ("customers_20230424T201230Z(12).csv", "name.copy", GOOD),
    ("customers_20230424T201230Z.csv (1)", "name.copy", GOOD),
    ("customers_20230424T201230Z.csv-(1)", "name.copy", GOOD),
    ("customers_20230424T201230Z - Copy.csv", "name.copy", GOOD),
    ("customers_20230424T201230Z - Copy (2).csv", "name.copy", GOOD),
    ("customers_20230424T201230Z_copy.csv", "name.copy", GOOD),
    ("Copy of customers_20230424T201230Z.csv", "name.copy", GOOD),
    (
        "customers_20230424T201230Z.rejected.csv",
        "name.rejects_report",
        "customers_20230424T201231Z.csv",
    ),
    ("customers_20230424T201230.csv", "name.not_utc", GOOD),
    ("customers_20230424T201230UTC.csv", "name.not_utc", GOOD),
    ("customers_2023-04-24T20:12:30 GMT.csv", "name.not_utc", "customers_2023-04-24T20:12:30Z.csv"),
    ("customers_20230425T061230+1000.csv", "name.offset", GOOD),
    ("customers_20230425T061230+10.csv", "name.offset", GOOD),
    ("customers_20230424T151230-0500.csv", "name.offset", GOOD),
    ("customers_20230424T201230+0000.csv", "name.offset", GOOD),
    (
        "customers_2023-04-25T06:12:30+10:00.csv",
        "name.offset",
        "customers_2023-04-24T20:12:30Z.csv",
    ),
    (
        "customers_2023-04-24T10:42:30-09:30.csv",
        "name.offset",
        "customers_2023-04-24T20:12:30Z.csv",
    ),
    ("customers_20230424T201230+9900.csv", "name.offset", None),
    ("customers_00010101T000000+1000.csv", "name.offset", None),
    ("customers_99991231T235959-1000.csv", "name.offset", None),
    ("customers_20230230T201230Z.csv", "name.bad_date", None),
    ("customers_20230229T201230Z.csv", "name.bad_date", None),
    ("customers_20231324T201230Z.csv", "name.bad_date", None),
    ("customers_00000101T000000Z.csv", "name.bad_date", None),
    ("customers_20230424T256030Z.csv", "name.bad_date", None),
    ("customers_20230424T235960Z.csv", "name.bad_date", None),
    ("customers_20230424T240000Z.csv", "name.bad_date", "customers_20230425T000000Z.csv"),
    ("customers_99991231T240000Z.csv", "name.bad_date", None),
    ("customers_20230424.csv", "name.missing_time", "customers_20230424T000000Z.csv"),
    ("customers_2023-04-24.csv", "name.missing_time", "customers_20230424T000000Z.csv"),
    ("customers_20230424T2012Z.csv", "name.missing_time", "customers_20230424T201200Z.csv"),
    ("customers_2023-04-24T20:12Z.csv", "name.missing_time", "customers_2023-04-24T20:12:00Z.csv"),
    ("customers_20230424T20Z.csv", "name.missing_time", "customers_20230424T200000Z.csv"),
    ("customers.csv", "name.missing_time", None),
    ("customers_.csv", "name.missing_time", None),
    ("Orders.CSV", "name.wrong_extension", None),
    ("customers_20230424T201230.5Z.csv", "name.bad_datetime", GOOD),
    (
        "customers_2023-04-24T20:12:30.123Z.csv",
        "name.bad_datetime",
        "customers_2023-04-24T20:12:30Z.csv",
    ),
    ("customers_2023-04-24T20-12-30Z.csv", "name.bad_datetime", GOOD),
    ("customers_2023-04-24T201230Z.csv", "name.bad_datetime", GOOD),
    ("customers_20230424T20:12:30Z.csv", "name.bad_datetime", GOOD),
    ("customers_2023-0424T20:12:30Z.csv", "name.bad_datetime", GOOD),
    ("customers_20230424_201230Z.csv", "name.bad_datetime", GOOD),
    ("customers_20230424201230.csv", "name.bad_datetime", GOOD),
    (
        "customers_2023-04-24 20:12:30.csv",
        "name.bad_datetime",
        "customers_2023-04-24T20:12:30Z.csv",
    ),
    ("customers_20230424T201230Z_final.csv", "name.bad_datetime", GOOD),
    ("customers_20230424T201230Z_2.csv", "name.bad_datetime", None),
    ("customers_1682367150.csv", "name.bad_datetime", GOOD),
    ("customers_1682367150123.csv", "name.bad_datetime", GOOD),
    ("customers_24-04-2023.csv", "name.bad_datetime", None),
    ("customers_24042023.csv", "name.bad_datetime", None),
    ("customers_24042023_201230.csv", "name.bad_datetime", None),
    ("customers_23.csv", "name.bad_datetime", None),
    ("stocktake_20230424T201230Z.csv", "name.unknown_type", None),
    ("stock_take_20230424T201230Z.csv", "name.unknown_type", None),
    ("refunds_20230424T201230Z.csv", "name.unknown_type", None),
    ("Refunds.csv", "name.unknown_type", None),
    ("products_20230424T201230Z.csv", "name.unknown_type", None),
    ("20230424T201230Z.csv", "name.unknown_type", None),
    ("customers_20230424T201230Z.csv\n", "name.bad_characters", GOOD),
    (" customers_20230424T201230Z.csv", "name.bad_characters", GOOD),
    ("customers_20230424T201230Z .csv", "name.bad_characters", GOOD),
    ("customers_20230424T201230 Z.csv", "name.bad_characters", GOOD),
    ("\ufeffcustomers_20230424T201230Z.csv", "name.bad_characters", GOOD),
    ("customers_２０２３0424T201230Z.csv", "name.bad_characters", GOOD),
    ("customers_٢٠٢٣0424T201230Z.csv", "name.bad_characters", GOOD),
    (
        "customers_2023-04-24T20：12：30Z.csv",
        "name.bad_characters",
        "customers_2023-04-24T20:12:30Z.csv",
    ),
    ("customers_20230424T201230Z.c\x00sv", "name.bad_characters", GOOD),
    ("README.md", "name.not_an_export", None),
    ("sample.csv", "name.not_an_export", None),
    ("", "name.bad_path", None),
    ("..", "name.bad_path", None),
    ("customers_" + "9" * 300 + ".csv", "name.too_long", None),
    # folders
    (f"Pending/{GOOD}", "name.bad_folder", f"pending/{GOOD}"),
    (f"TEST/au/{GOOD}", "name.bad_folder", f"test/au/{GOOD}"),
    (f"Processed/{GOOD}", "name.bad_folder", None),
    (f"au/pending/{GOOD}", "name.bad_folder", f"pending/au/{GOOD}"),
    (f"au/test/{GOOD}", "name.bad_folder", f"test/au/{GOOD}"),
    (f"exports/au/{GOOD}", "name.bad_folder", None),
    (f"pending/au/2023/{GOOD}", "name.bad_folder", f"pending/au/{GOOD}"),
    (f"AU/{GOOD}", "name.bad_connection", f"au/{GOOD}"),
    (f"pending/AU/{GOOD}", "name.bad_connection", f"pending/au/{GOOD}"),
    (f"pending/a b/{GOOD}", "name.bad_connection", None),
    (f"pending/-au/{GOOD}", "name.bad_connection", None),
    (f"pending/{LONG}a/{GOOD}", "name.bad_connection", None),
    (f"pending/au\n/{GOOD}", "name.bad_connection", f"pending/au/{GOOD}"),
    (f"pending/test/{GOOD}", "name.bad_connection", None),
    (f"bulk/processed/{GOOD}", "name.bad_connection", None),
    (f"pending/state/{GOOD}", "name.bad_connection", None),
    (f"/{GOOD}", "name.bad_path", None),
    (f"pending//{GOOD}", "name.bad_path", None),
    (f"pending/../{GOOD}", "name.bad_path", None),
    (f"pending/au/../../{GOOD}", "name.bad_path", None),
    (
        "Test/AU/order_2023-04-24T20:12:30.CSV",
        "name.bad_folder",
        "test/au/orders_2023-04-24T20:12:30Z.csv",
    ),
]

IGNORED = [
    "customers_20230424T201230Z.csv.filepart",
    "customers_20230424T201230Z.csv.FILEPART",
    "pending/au/customers_20230424T201230Z.csv.part",
    "x.tmp",
    "x.Partial",
    "customers_20230424T201230Z.csv.a1b2.partial",
    "x.incomplete",
    "customers_20230424T201230Z.csv.sftpgo-partial.c9a8",
    ".customers_20230424T201230Z.csv",
    "pending/~customers_20230424T201230Z.csv",
    "pending/",
    "pending/au/",
    "/",
    "processed/customers_20230424T201230Z.csv",
    "processed/au/test/x",
    "reports/x.report.json",
    "state/main/customers/x.index",
    "state/customers_20230424T201230Z.csv",
]


@pytest.mark.parametrize(("name", "connection", "folder", "mode", "import_id"), RIGHT)
def test_right_names(name: str, connection: str, folder: str, mode: Mode, import_id: str) -> None:
    """A right name tells connection, folder, mode and import id."""
    read = read_name(name)

    assert isinstance(read, ExportFile)
    assert (connection, folder, mode, import_id) == (
        read.connection,
        read.folder,
        read.mode,
        read.import_id,
    )
    assert (name, name.split("/")[-1]) == (read.object, read.file)


@pytest.mark.parametrize(("name", "code", "suggestion"), WRONG)
def test_wrong_names(name: str, code: str, suggestion: str | None) -> None:
    """A wrong name is refused with its code and, where it can be guessed, the right name."""
    read = read_name(name)

    assert isinstance(read, Misnamed)
    assert (code, suggestion) == (read.problem.code, read.suggestion)
    assert read.problem.message.endswith(".")


@pytest.mark.parametrize("name", IGNORED)
def test_ignored_names(name: str) -> None:
    """Temporary names, folder markers and the pipeline's own folders are ignored."""
    assert isinstance(read_name(name), Ignored)


def test_every_code_is_used() -> None:
    """The table of wrong names shows every code of names, and no other."""
    wrong = {code for _, code, _ in WRONG} | {"name.in_future"}  # which no name is by itself
    assert {code for code in CODES if code.startswith("name.")} == wrong


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        (f"AU/{GOOD}", 1),
        ("customers_20230424T201230 Z.csv", 1),
        ("Customer-20230424T201230.csv", 3),
    ],
)
def test_all_that_is_wrong_is_said_at_once(name: str, sentences: int) -> None:
    """A refusal has one sentence for each mistake, and none for what is right."""
    read = read_name(name)

    assert isinstance(read, Misnamed)
    assert read.problem.message.count(".") == sentences


def test_guessed_connection_and_type() -> None:
    """A misnamed file is put down under the connection, mode and type it was meant for."""
    read = read_name("Test/NZ/order_20230424.csv")

    assert isinstance(read, Misnamed)
    assert (read.connection, read.folder, read.mode, read.type) == ("nz", "nz", "test", "orders")
    assert read.import_id == "Test~NZ~order_20230424.csv"


@pytest.mark.parametrize(
    ("name", "processed", "rejected", "report"),
    [
        (
            GOOD,
            GOOD,
            "customers_20230424T201230Z.rejected.csv",
            "customers_20230424T201230Z.report.json",
        ),
        (
            "test/au/orders_2023-04-24T20:12:30Z.csv",
            "au/test/orders_2023-04-24T20:12:30Z.csv",
            "au/test/orders_2023-04-24T20:12:30Z.rejected.csv",
            "au/test/orders_2023-04-24T20:12:30Z.report.json",
        ),
        (
            "bulk/orders_20230424T201230Z.csv",
            "bulk/orders_20230424T201230Z.csv",
            "bulk/orders_20230424T201230Z.rejected.csv",
            "bulk/orders_20230424T201230Z.report.json",
        ),
    ],
)
def test_places(name: str, processed: str, rejected: str, report: str) -> None:
    """A file's processed copy and its reports lie in its connection's and mode's folder."""
    read = read_name(name)

    assert isinstance(read, ExportFile)
    assert (f"processed/{processed}", f"rejected/{rejected}", f"reports/{report}") == (
        read.processed,
        read.rejected_csv,
        read.report_json,
    )


def test_report_of_a_misnamed_file() -> None:
    """The report of a misnamed file is found by the file's own name."""
    read = read_name("test/au/Customers_20230424T201230Z.csv")

    assert isinstance(read, Misnamed)
    assert read.report_json == "reports/au/test/Customers_20230424T201230Z.report.json"


@pytest.mark.parametrize(
    "name", ["customers_20230424T201230Z", f"AU/{GOOD}", f"pending/au/x/{GOOD}", f"x/y/{GOOD}"]
)
def test_report_of_a_right_file_is_safe(name: str) -> None:
    """No misnamed file has the report of a file with a right name."""
    read = read_name(name)
    right = {read_name(place + GOOD) for place in ("", "au/")}

    assert isinstance(read, Misnamed)
    assert read.report_json not in {r.report_json for r in right if isinstance(r, ExportFile)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b.txt", "a~b.txt"),
        ("a//b.txt", "a~/b.txt"),
        ("customers_20230424T201230Z", "customers_20230424T201230Z.csv"),
        ("x\n.csv", "x\r.csv"),
        ("x\ud800.csv", "x\ud801.csv"),
        ("y" * 2000 + "1", "y" * 2000 + "2"),
    ],
)
def test_ids_differ(one: str, other: str) -> None:
    """Two different objects never share an import id."""
    first, second = read_name(one), read_name(other)

    assert not isinstance(first, Ignored)
    assert not isinstance(second, Ignored)
    assert first.import_id != second.import_id


@pytest.mark.parametrize("mark", ["~~", "//"])
def test_id_that_cannot_be_forged(mark: str) -> None:
    """An object named like another's shortened id gets an id of its own."""
    shortened = read_name("a\n")
    assert isinstance(shortened, Misnamed)
    forged = read_name(shortened.import_id.replace("~~", mark))

    assert isinstance(forged, Misnamed)
    assert forged.import_id != shortened.import_id


connections = st.from_regex(re.compile("[a-z0-9][a-z0-9_-]{0,38}"), fullmatch=True).filter(
    is_connection
)
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 the strategy adds the zone itself
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=10))]),
).map(lambda moment: moment.replace(microsecond=0))
modes = st.sampled_from(["load", "test", "bulk"])


@given(st.sampled_from(TYPES), moments, modes, connections, st.booleans())
def test_round_trip(
    type: str, exported_at: datetime, mode: Mode, connection: str, extended: bool
) -> None:
    """What a name is built from is read back from it, and from its import id."""
    name = object_name(type, exported_at, mode=mode, connection=connection, extended=extended)
    read = read_name(name)

    assert isinstance(read, ExportFile)
    assert (type, exported_at, mode, connection) == (
        read.type,
        read.exported_at,
        read.mode,
        read.connection,
    )
    assert (mode, type, exported_at) == parse_import_id(read.import_id)


@given(moments, moments)
def test_ids_sort_in_time_order(one: datetime, other: datetime) -> None:
    """Import ids of one type sort as text in the order of their times."""
    first, second = (read_name(object_name("orders", moment)) for moment in (one, other))

    assert isinstance(first, ExportFile)
    assert isinstance(second, ExportFile)
    assert (one < other) == (first.import_id < second.import_id)


near_names = st.lists(
    st.sampled_from(
        [
            *TYPES,
            *FOLDERS,
            "Customers",
            "order",
            "_",
            "-",
            " ",
            "/",
            "..",
            "~",
            "\x00",
            "(1)",
            "20",
            "20230424",
            "T",
            "201230",
            "Z",
            "z",
            "+1000",
            ".csv",
            ".CSV",
            "\n",
            "\ud800",
            "٣",
            "__",
        ]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(st.characters()), near_names))
def test_any_text(name: str) -> None:
    """Any text gets an answer with a legal id, a known code and a suggestion that is right."""
    read = read_name(name)

    if isinstance(read, Ignored):
        return
    assert not re.fullmatch(r"\.\.?|__.*__|.*/.*|", read.import_id, re.DOTALL)
    assert len(read.import_id.encode()) <= 1500
    assert read.report_json.isprintable()
    assert len(read.report_json.encode()) <= 1024
    if isinstance(read, Misnamed):
        assert read.problem.code in CODES
        assert read.suggestion is None or isinstance(read_name(read.suggestion), ExportFile)
        with pytest.raises(ValueError):
            parse_import_id(read.import_id)


@pytest.mark.parametrize("length", [1_024, 100_000])
@pytest.mark.parametrize("part", ["a", "-(1)", " ", ".csv", "1", "é", "copy", "x/"])
def test_long_names(part: str, length: int) -> None:
    """A very long name is answered like any other, and at once."""
    read = read_name("x" + (part * length)[:length] + "!")

    assert isinstance(read, Misnamed)
    assert len(read.import_id.encode()) <= 1500


@pytest.mark.parametrize(
    ("type", "exported_at", "mode", "connection", "about"),
    [
        ("stocktake", AT, "load", "main", "type"),
        ("orders", AT.replace(tzinfo=None), "load", "main", "time zone"),
        ("orders", AT, "pending", "main", "mode"),
        ("orders", AT, "load", "test", "connection"),
        ("orders", AT, "load", "AU", "connection"),
    ],
)
def test_names_that_cannot_be_built(
    type: str, exported_at: datetime, mode: Mode, connection: str, about: str
) -> None:
    """What no name can carry is refused when a name is built."""
    with pytest.raises(ValueError, match=about):
        object_name(type, exported_at, mode=mode, connection=connection)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "customers",
        "orders_2023-01-01T12:01:01Z",
        "orders_20230230T000000Z",
        "load_orders_20230101T120101Z",
        "orders_20230101T120101Z\n",
        "orders_20230101T120101Z.csv",
    ],
)
def test_what_is_no_import_id(text: str) -> None:
    """Only the id of an export file is read as one."""
    with pytest.raises(ValueError, match="not the import id"):
        parse_import_id(text)


def test_light_imports() -> None:
    """Reading names imports neither pandas nor pydantic nor any Google client."""
    seen = subprocess.run(
        [sys.executable, "-c", "import shared.files.names, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert not {"pandas", "numpy", "pydantic", "google.cloud.storage"} & set(seen)
