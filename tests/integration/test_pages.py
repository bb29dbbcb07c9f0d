"""The status page tells how everything stands, masks what is personal, and never breaks."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from google.cloud import firestore

from local.processes import free_ports
from shared.core.errors import SettingsError, TryAgain
from shared.firestore.database import FirestoreDatabase
from shared.ledger.imports import Import, Status
from shared.ledger.store import LedgerStore
from shared.services import Services
from shared.status import routes
from shared.status.data import PAGE_SIZE
from shared.status.query import Asked
from tests.support import story
from tests.support.imports import at, make_import
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

pytest_plugins = ["tests.support.told"]

Get = Callable[..., routes.PageAnswer]


def get(
    services: Services, query: str = "", *, method: str = "GET", path: str = "/", person: str = ""
) -> routes.PageAnswer:
    """Ask for a page."""
    request = routes.Request(
        method=method, path=path, query=dict(parse_qsl(query.lstrip("?"))), person=person
    )
    return routes.answer(request, lambda: services)


def text(answer: routes.PageAnswer) -> str:
    """Return what a page says, without tags and with single blanks."""
    assert isinstance(answer.body, str)
    body = re.sub(r"(?s)<(style|script).*?</\1>", "", answer.body)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def links(answer: routes.PageAnswer) -> list[str]:
    """Return where a page leads to."""
    assert isinstance(answer.body, str)
    return [html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]*)"', answer.body)]


@pytest.fixture(scope="module")
def overview(told: Pipeline) -> routes.PageAnswer:
    return get(told.services)


# -- the overview -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        "7 things need a person",
        "nz : The type must be written customers, in lower case.",
        "What to do: Ask for the customers file, or release the orders to load them without it.",
        "customers_20241120T030900Z.csv ▸ loading nz 73 % 73 % 243 rows read",
        "Starts 20 Nov 2024 14:32:00 AEDT (in 22 minutes)",
        "Waits for customers_20241120T030900Z",
        "Overdue since 20 Nov 2024 15:01:00 NZDT (1 hour ago)",
        "outlet ! 1 feed has stopped customers 3 days ago every day nothing 0",
        "main ! 1 file was rejected 1 address takes no mail 1 mail is late 4 rows to fix customers "
        "8 minutes ago every",
        "Refreshes every 10 s",
    ],
)
def test_overview(overview: routes.PageAnswer, says: str) -> None:
    """The overview says what needs a person, what is waited for until when, and what has come."""
    assert overview.status == 200
    assert says in text(overview)


def test_numbers_of_a_day(told: Pipeline, overview: routes.PageAnswer) -> None:
    """The numbers of a day are those of the files that were uploaded on it, there."""
    today = [
        Import.from_document(connection="", import_id="", data=found.to_dict() or {})
        for found in told.database.collection_group("imports").stream()
        if found.get("uploadedAt") >= at("20241119T130000Z")
    ]
    loaded, unchanged, rejected = (
        sum(getattr(one.rows, name) for one in today)
        for name in ("loaded", "unchanged", "rejected")
    )

    assert min(loaded, unchanged, rejected) > 0
    wanted = f"Wed 20 Nov {len(today)} {loaded:,} {unchanged:,} {rejected:,} Tue 19 Nov"
    assert wanted in text(overview)


def test_overview_of_a_connection(told: Pipeline) -> None:
    """With a connection chosen everything on the page is about that one."""
    page = get(told.services, "connection=outlet")

    assert "One thing needs a person" in text(page)
    assert story.LOADING not in text(page)
    assert "Sun 17 Nov 1 44 0 0" in text(page)


def test_before_the_first_file(make: Callable[..., Pipeline]) -> None:
    """An empty page says where the first file goes, and under which name."""
    pipeline = make(sftp_address="sftp.example.com:2222")

    page = text(get(pipeline.services))

    assert "Connect over SFTP to sftp.example.com:2222 ." in page
    assert "for example test/customers_20230501T120000Z.csv . It is checked" in page
    assert "All is well" not in page

    assert "No imports found." in text(get(pipeline.services, "connection=unknown"))

    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n")
    assert "Connect over SFTP" not in text(get(pipeline.services))


def test_every_rejected_file_is_told_until_it_is_corrected(pipeline: Pipeline) -> None:
    """A rejected file, its orders, and what frees them are on the page until a corrected file."""
    pipeline.upload("customers_20230501T115500Z.csv", "PERSON\r\n1\r\n")
    pipeline.upload("orders_20230501T115900Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.run_due()
    pipeline.clock.advance(timedelta(minutes=31))
    pipeline.run_due()

    page = text(get(pipeline.services))
    assert "One thing needs a person main : The column PERIDX is missing." in page
    assert "Waiting for it: orders_20230501T115900Z" in page
    assert "‖ blocked by a rejected file main" in page
    assert "Send the corrected file under the same name" in page
    assert "main ! 1 file was rejected" in page

    pipeline.upload("customers_20230501T115600Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    assert "All is well." in text(get(pipeline.services))


def test_last_good_files(pipeline: Pipeline) -> None:
    """The last good file of each type is told against what is usual, and that it is a guess."""
    for day in range(6):
        pipeline.upload(
            f"au/customers_2023050{1 + day}T115500Z.csv",
            customers_csv({"PERIDX": str(day)}, {"PERIDX": "" if day == 5 else "9"}),
        )
        pipeline.run_due()
        pipeline.clock.advance(timedelta(days=1))

    assert "au △ 1 row to fix customers 1 day ago usually every day" in text(get(pipeline.services))
    pipeline.clock.advance(timedelta(days=1))
    page = text(get(pipeline.services))
    assert "au △ no good customers file for longer than usual 1 row to fix" in page
    assert "Nothing needs a person" in page


def test_the_page_reads_no_more_for_more_retailers(
    make: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 retailers with many imports cost the page as many requests as one retailer."""
    pipeline = make(mail_url="smtps://mail.example.com", mail_from="imports@example.com")
    shops = [f"shop{number:02}" for number in range(50)]
    for name in ("au", "nz"):
        pipeline.database.document(f"connections/{name}").set({"notify": {"to": "a@example.com"}})
    asked: list[str] = []
    database = "shared.firestore.database.FirestoreDatabase"
    for name in ("documents", "find", "newest", "totals", "list", "find_in_group"):
        whole = getattr(FirestoreDatabase, name)

        def counting(*given: Any, whole: Any = whole, name: str = name, **more: Any) -> Any:
            asked.append(name)
            return whole(*given, **more)

        monkeypatch.setattr(f"{database}.{name}", counting)

    def requests() -> Counter[str]:
        asked.clear()
        assert get(pipeline.services).status == 200
        return Counter(asked)

    seed(pipeline, 2)
    few = requests()
    seed(pipeline, 400, connections=shops, status="rejected")
    for name in shops:
        pipeline.database.document(f"connections/{name}").set({"notify": {"to": "a@example.com"}})
    page = get(pipeline.services)

    assert few == requests()
    assert sum(few.values()) < 25
    assert "There may be more." in text(page)
    assert len(str(page.body)) < 400_000


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (story.LOADING, [f"{story.LOADING}.csv"]),
        (f"nz/{story.LOADING}", [f"{story.LOADING}.csv"]),
        (f"pending/nz/{story.LOADING}.csv", [f"{story.LOADING}.csv"]),
        (f"main/{story.LOADING}", []),
        ("Customers_20241120T010000Z.csv", ["Customers_20241120T010000Z.csv"]),
        (story.HOSTILE, ["&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;.csv"]),
        ("orders_20241119T200000", []),
        ("..", []),
        ("a//b", []),
        ("__x__", []),
    ],
)
def test_search_by_name(told: Pipeline, asked: str, found: list[str]) -> None:
    """A file is found by its name, its path, its import's id, and not by a part of these."""
    page = get(told.services, urlencode({"q": asked}))

    assert page.status == 200
    assert found == re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', str(page.body))
    assert found or "Nothing found" in text(page)


def test_search_by_order_number(told: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """An order is found by its exact number, with its import; personal data is masked."""
    page = get(told.services, "q=D1001")
    assert "Order of main Loaded from orders_20241116T160000Z" in text(page)
    assert re.search("personId •+", text(page))
    assert "Nothing found" in text(get(told.services, "q=D100"))
    assert "Nothing found" in text(get(told.services, "q=1"))
    capsys.readouterr()

    page = get(told.services, "q=D1001&reveal=1")
    assert re.search("personId [0-9]+", text(page))
    assert "Personal data has been looked at" in capsys.readouterr().out


def test_what_cannot_be_searched_for(told: Pipeline) -> None:
    """A text that no file, import or order can have is refused in words."""
    assert get(told.services, urlencode({"q": "x" * 300})).status == 400
    assert get(told.services, urlencode({"q": "a\nb"})).status == 400


def test_an_alert_about_all_retailers(pipeline: Pipeline) -> None:
    """The alert that no worker begins an import is of no connection, and leads to none."""
    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n")
    pipeline.clock.advance(timedelta(minutes=30))
    pipeline.sweep()

    page = get(pipeline.services)

    assert "One thing needs a person" in text(page)
    assert not [link for link in links(page) if "*" in link or "%2A" in link]


def test_all_is_well(pipeline: Pipeline) -> None:
    """A loaded file is no trouble."""

    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n")
    pipeline.run_due()

    page = text(get(pipeline.services))
    assert "All is well." in page
    assert "Refreshes every 60 s" in page


def test_a_wrong_setting_of_a_connection_is_told(pipeline: Pipeline) -> None:
    """A connection whose settings cannot be used does not hide the others."""
    pipeline.database.document("connections/au").set({"timeZone": "Mars"})

    page = text(get(pipeline.services))

    assert "au : A setting has an error, so nothing is loaded: connections/au.timeZone" in page


def test_the_page_does_without_the_numbers(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database cannot add up, the page says so and shows all the rest."""

    def fail(*_: object) -> None:
        raise TryAgain("An index is being built.")

    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n")
    monkeypatch.setattr("shared.firestore.database.FirestoreDatabase.totals", fail)

    page = get(pipeline.services)

    assert page.status == 200
    assert "The numbers cannot be shown now. An index is being built." in text(page)
    assert "customers_20230501T115500Z.csv" in text(page)


# -- searching --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("status=overdue", ["orders_20241119T200000Z.csv"]),
        ("status=loading&connection=nz", ["customers_20241120T030900Z.csv"]),
        (
            "type=rewards&since=2024-11-20&until=2024-11-20&status=blocked",
            ["rewards_20241120T030930Z.csv"],
        ),
        ("connection=outlet&until=2024-11-19", ["customers_20241116T160000Z.csv"]),
        ("connection=outlet&since=2024-11-18", []),
    ],
)
def test_search(told: Pipeline, query: str, files: list[str]) -> None:
    """Filters by connection, type, status and day show what fits and nothing else."""
    page = get(told.services, query)

    assert files == re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', str(page.body))
    assert files or "No imports found." in text(page)


def seed(
    pipeline: Pipeline,
    number: int,
    *,
    connections: Sequence[str] = ("au", "nz"),
    status: Status = "loaded",
) -> None:
    """Write imports to the ledger, several a moment, over two or more connections."""
    first = make_import("customers_20230501T000000Z")
    batch = pipeline.database.batch()
    for each in range(number):
        uploaded = first.uploaded_at + timedelta(seconds=each // 3)
        one = replace(first, uploaded_at=uploaded, status=status, file=f"{each:04}.csv")
        path = f"connections/{connections[each % len(connections)]}/imports/file-{each:04}"
        batch.set(pipeline.database.document(path), one.to_document())
    batch.commit()


@pytest.mark.parametrize("query", ["", "connection=au&status=ended_well"])
def test_older_pages(pipeline: Pipeline, query: str) -> None:
    """Going on from page to page shows every import once, those of one moment included."""
    number = 2 * PAGE_SIZE + 20
    seed(pipeline, number)
    seen: list[str] = []
    following: str | None = f"?{query}"
    while following is not None:
        page = get(pipeline.services, following)
        seen += re.findall(r'<th scope="row"><a [^>]*>(\d+.csv)</a>', str(page.body))
        following = next((link for link in links(page) if "after=" in link), None)
        assert len(seen) <= number

    wanted = [each for each in range(number) if not query or each % 2 == 0]
    assert [f"{each:04}.csv" for each in wanted] == sorted(seen)


# -- one import -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ten_faults(told: Pipeline) -> routes.PageAnswer:
    return get(told.services, f"connection=main&import={story.TEN_FAULTS}")


@pytest.mark.parametrize(
    "says",
    [
        "36 of 40 rows loaded; 5 values could not be read and were left as they were. 4 rows have "
        "errors: see the rejected file.",
        "read 40 loaded 36 unchanged 0 outdated 0 rejected 4",
        "Line 7 row.missing_key The cell is blank, but the row cannot be loaded without it.",
        "Line 10 row.bad_key",
        "PERIDX •.••••••+•",
        "Findings 10 Errors (not loaded) PERIDX: ",
        "2 times: lines 10, 13 (rows 8, 11 in a spreadsheet).",
        "Warnings (loaded, but check them) PRIVACY: ",
        "EMAIL: The cell is not an e-mail address: it has no @. Line 20 (row 17 in a spreadsheet).",
        "20 Nov 2024 14:02:00 AEDT ▸ loading Being loaded.",
        "Orders that come after it orders_20241120T030500Z ◷ scheduled",
        "Size 10.3 kB",
    ],
)
def test_import(ten_faults: routes.PageAnswer, says: str) -> None:
    """A page of an import tells its whole story: outcome, rows, reasons, timeline."""
    assert says in text(ten_faults)


def test_import_that_is_overdue(told: Pipeline) -> None:
    """The page of overdue orders says how to release them."""
    page = get(told.services, f"connection=nz&import={story.OVERDUE}")

    assert f"python -m shared.ops release nz/{story.OVERDUE}" in text(page)


def test_import_that_is_refused(told: Pipeline) -> None:
    """The page of a misnamed file gives code, reason, right name and what to do."""
    page = get(told.services, f"connection=nz&import={story.MISNAMED}")

    assert "The right name would be nz/customers_20241120T010000Z.csv." in text(page)
    assert "Code name.wrong_case" in text(page)


def test_earlier_uploads(pipeline: Pipeline) -> None:
    """An upload that was superseded is listed with the one that took over."""
    name = "customers_20230501T115500Z.csv"
    pipeline.upload(name, "PERIDX\r\n1\r\n")
    pipeline.clock.advance(timedelta(minutes=5))
    pipeline.upload(name, "PERIDX\r\n1\r\n2\r\n")

    page = text(get(pipeline.services, "connection=main&import=customers_20230501T115500Z"))

    assert "Earlier uploads of this name 1 May 2023 22:00:00 AEST 11 bytes" in page


def test_personal_data_is_masked_unless_asked_for(
    told: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """With reveal=1 the cells are shown, the page says so, and who looked is in the log."""
    query = f"connection=main&import={story.TEN_FAULTS}"
    masked = get(told.services, query)
    assert capsys.readouterr().out == ""

    shown = get(told.services, f"{query}&reveal=1", person="kim@example.com")

    logged = json.loads(capsys.readouterr().out)
    assert (logged["who"], logged["importId"]) == ("kim@example.com", story.TEN_FAULTS)
    assert "Personal data is shown, and this is logged." in text(shown)
    emails = re.compile(r"[a-z0-9.]+@[a-z.]+")
    assert emails.search(text(shown))
    assert not emails.search(text(masked))


def test_downloads(told: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports come through the page as files of the right kind; who takes them is logged."""
    query = f"connection=main&import={story.TEN_FAULTS}&download="

    rejected = get(told.services, f"{query}rejected", person="kim@example.com")
    report = get(told.services, f"{query}report")
    summary = get(told.services, f"{query}summary")

    content = b"".join(part for part in rejected.body if isinstance(part, bytes))
    assert content.decode("utf-8-sig").startswith("PERIDX,")
    assert str(len(content)) == rejected.headers["Content-Length"]
    assert rejected.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (
        f"attachment; filename*=UTF-8''{story.TEN_FAULTS}.rejected.csv"
        == rejected.headers["Content-Disposition"]
    )
    assert report.headers["Content-Type"] == "application/json; charset=utf-8"
    assert summary.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert json.loads(capsys.readouterr().out)["who"] == "kim@example.com"


def test_reports_that_are_no_longer_kept(pipeline: Pipeline) -> None:
    """When the rejected file has been deleted, the page says so instead of failing."""
    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n2\r\n3\r\n4\r\n5\r\nx\r\n")
    pipeline.run_due()
    query = "connection=main&import=customers_20230501T115500Z"
    assert "Line 7" in text(get(pipeline.services, query))
    for blob in pipeline.services.bucket.list_blobs(prefix="rejected/"):
        blob.delete()

    assert "The rejected file is no longer kept." in text(get(pipeline.services, query))
    assert get(pipeline.services, f"{query}&download=rejected").status == 404


# -- what can go wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path", "method", "status", "says"),
    [
        ("connection=main&import=orders_x", "/", "GET", 404, "There is no import orders_x"),
        ("connection=main&import=x&download=report", "/", "GET", 404, "There is no report file"),
        ("", "/imports", "GET", 404, "There is no such page here."),
        ("status=lost", "/", "GET", 400, "`status` must be one of"),
        ("", "/", "POST", 405, "This page is only for reading."),
    ],
)
def test_refusals(
    pipeline: Pipeline, query: str, path: str, method: str, status: int, says: str
) -> None:
    """What cannot be answered is refused on a page of its own, with the way back."""
    page = get(pipeline.services, query, path=path, method=method)

    assert status == page.status
    assert says in text(page)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "To the newest imports" in text(page)


@pytest.mark.parametrize("path", ["", "/", "/status", "/status/", "/ops/status"])
def test_wherever_it_is_mounted(pipeline: Pipeline, path: str) -> None:
    """The page answers at the root and under its own name, and its links hold in both places."""
    page = get(pipeline.services, path=path)

    assert page.status == 200
    assert all(link.startswith(("?", "#")) for link in links(page))


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (
            TryAgain("The ledger cannot be reached: Unavailable"),
            503,
            "Firestore is not responding.",
        ),
        (SettingsError("TIME_ZONE", "expected a time zone"), 500, "TIME_ZONE: expected"),
        (RuntimeError("secret cell"), 500, "unexpected error of this page"),
    ],
)
def test_faults(
    error: Exception, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault is told on a page, without a trace and without the text of a foreign error."""

    def fail() -> Services:
        raise error

    page = routes.answer(routes.Request(method="GET", path="/", query={}), fail)

    assert status == page.status
    assert says in text(page)
    assert "Traceback" not in str(page.body)
    assert "secret" not in str(page.body) + capsys.readouterr().out
    assert (status == 503) == ("Retry-After" in page.headers)


def test_a_ledger_that_is_away(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Firestore does not answer, the page says so instead of trying on and on."""
    (port,) = free_ports([0])
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{port}")
    monkeypatch.setattr("shared.status.routes.PATIENCE_SECONDS", 0.3)
    away = LedgerStore(FirestoreDatabase(firestore.Client(project="away")))
    services = replace(pipeline.services, ledger=away)

    pages_asked_for = [
        get(services, query) for query in ("", "status=failed", "connection=a&import=b")
    ]

    assert {503} == {page.status for page in pages_asked_for}
    assert "Firestore is not responding." in text(pages_asked_for[0])


# -- safety -----------------------------------------------------------------------------------


def test_headers(overview: routes.PageAnswer) -> None:
    """Nothing comes from elsewhere, nothing runs but the page's own script, nobody frames it."""
    policy = dict(
        part.split(" ", 1) for part in overview.headers["Content-Security-Policy"].split("; ")
    )

    assert "'none'" == policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"]
    assert overview.headers["X-Content-Type-Options"] == "nosniff"
    assert overview.headers["Referrer-Policy"] == "no-referrer"
    assert overview.headers["Cache-Control"] == "no-store"
    for tag in ("style", "script"):
        (content,) = re.findall(f"(?s)<{tag}>(.*?)</{tag}>", str(overview.body))
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" == policy[f"{tag}-src"]
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", str(overview.body))


def test_hostile_names_are_escaped(told: Pipeline, overview: routes.PageAnswer) -> None:
    """A file name that is markup is shown as the text it is, wherever it stands."""
    found = told.services.ledger.find("nz", file=story.HOSTILE)
    page = get(told.services, Asked(connection="nz", import_id=found[0].import_id).link())

    for one in (overview, page):
        assert story.HOSTILE in text(one)
        assert "<img" not in str(one.body)


def test_every_import_can_be_opened(told: Pipeline, overview: routes.PageAnswer) -> None:
    """Every link of the overview to an import leads to its page."""
    wanted = [link for link in links(overview) if "import=" in link]

    assert len(wanted) > 20
    assert {200} == {get(told.services, link).status for link in set(wanted)}


def test_unknown_fields_do_not_break_the_page(pipeline: Pipeline) -> None:
    """An import that a later version has written is shown as far as it is understood."""
    one: Import = make_import("customers_20230501T115500Z", status="loaded")
    path = "connections/main/imports/customers_20230501T115500Z"
    document = {
        **one.to_document(),
        "novelty": {"a": 1},
        "error": {"code": "file.new", "message": "Something new is wrong."},
        "history": [{"at": one.uploaded_at, "status": "polished", "text": "New."}],
        "warnings": [
            {"code": "row.new", "message": "Something."},
            {"code": "order.customer_unknown", "message": "Orders.", "count": 3},
        ],
    }
    pipeline.database.document(path).set(document)

    page = get(pipeline.services, "connection=main&import=customers_20230501T115500Z")

    assert page.status == 200
    assert "polished New." in text(page)
    assert "Orders. 3 times." in text(page)
    assert "Something new is wrong. Code file.new" in text(page)
