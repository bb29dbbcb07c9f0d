"""What becomes of uploads in the running pipeline: their order, their bad rows, their speed."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from local.processes import free_ports
from local.sample_data.people import AUSTRALIA, CUSTOMER_COLUMNS, Person, make_people
from shared.gcp.queue import CloudQueue
from shared.ledger.feeds import Feed, Running
from shared.ledger.imports import Import
from tests.integration.conftest import Tasks
from tests.support.expected import csv_file, customer_document, differences
from tests.support.pipeline import Pipeline, customers_csv, orders_csv
from tests.support.stack import Hands
from tests.support.waiting import PATIENCE, eventually

CUSTOMERS = "customers_20241118T190000Z"
ORDERS = "orders_20241118T190500Z"


def people(seed: str, count: int) -> list[Person]:
    """Make up customers who have all said whether they may be written to."""
    chance = random.Random(seed)
    made = make_people(chance, AUSTRALIA, first=100, count=count, latest=date(2024, 11, 18))
    return [
        person.but(PRIVACY=chance.choice(("Yes", "No"))) if not person.cells["PRIVACY"] else person
        for person in made
    ]


def cells_of(person: Person) -> list[str]:
    """Return the cells of a person's row."""
    return [person.cells[column] for column in CUSTOMER_COLUMNS]


# -- orders after customers -------------------------------------------------------------------


def orders_loaded(stack: Hands, connection: str) -> tuple[Import, Import]:
    """Wait for the orders of a connection; returns its customers import and its orders import."""
    orders = stack.wait_for(connection, ORDERS, "loaded", "rejected", "failed", "overdue")
    customers = stack.import_(connection, CUSTOMERS)
    assert customers is not None
    assert (customers.status, orders.status) == ("loaded", "loaded")
    return customers, orders


def test_orders_first(stack: Hands) -> None:
    """Orders that come first wait, then start the orders delay after their customers came."""
    stack.upload(f"pending/early/{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}).encode())
    waiting = stack.wait_for("early", ORDERS, "waiting", "loading", "loaded")
    assert (waiting.status, waiting.task) == ("waiting", None)

    stack.upload(f"pending/early/{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}).encode())
    customers, orders = orders_loaded(stack, "early")

    assert customers.finished_at is not None
    assert orders.started_at is not None
    assert orders.scheduled_for is not None
    assert orders.paired_with == CUSTOMERS
    start = customers.uploaded_at + timedelta(seconds=1)
    blocked = "blocked" in {entry.status for entry in orders.history}
    if blocked or customers.history[0].at > start:  # on a machine too busy for one second
        assert orders.scheduled_for > start
    else:
        assert orders.scheduled_for == start
    assert orders.scheduled_for <= orders.started_at
    assert orders.started_at >= customers.finished_at
    way = (entry.status for entry in orders.history if entry.status != "blocked")
    assert [status for status, _ in itertools.groupby(way)] == [
        *("received", "waiting", "scheduled", "loading", "loaded"),
    ]
    assert orders.rows.orphaned == 0
    assert set(stack.documents("connections/early/orders")) == {"D1"}


def test_orders_of_slow_customers(stack: Hands) -> None:
    """Orders whose time comes before their customers are loaded start once these are."""
    earlier = "customers_20241117T190000Z"
    feed = stack.firestore.document("connections/slow/feeds/customers")
    # As if somebody were still loading an earlier file: until it ends, no other one is begun.
    held = Running(import_id=earlier, owner="x", expires_at=datetime.now(UTC) + timedelta(hours=1))
    feed.set(Feed(connection="slow", type="customers", running=held).to_document())

    stack.upload(f"pending/slow/{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}).encode())
    stack.upload(f"pending/slow/{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}).encode())
    stack.wait_for("slow", CUSTOMERS, "blocked")
    stack.wait_for("slow", ORDERS, "blocked")
    feed.update({"running": None})
    stack.upload(f"pending/slow/{earlier}.csv", customers_csv({"PERIDX": "2"}).encode())
    customers, orders = orders_loaded(stack, "slow")

    assert customers.finished_at is not None
    assert orders.started_at is not None
    assert orders.started_at >= customers.finished_at
    way = [status for status, _ in itertools.groupby(entry.status for entry in orders.history)]
    if way[1] == "scheduled":  # else its event came only after its time
        del way[1]
    assert way == ["received", "blocked", "scheduled", "loading", "loaded"]
    blocked = [entry.text for entry in orders.history if entry.status == "blocked"]
    assert CUSTOMERS in blocked[0]
    assert (customers.rows.loaded, orders.rows.orphaned) == (1, 0)


@pytest.mark.parametrize(
    ("orders_after", "start_after"),
    [
        pytest.param(-10, 30, id="before their customers"),
        pytest.param(10, 30, id="soon after their customers"),
        pytest.param(40, 40, id="late"),
    ],
)
def test_default_delay(
    make: Callable[..., Pipeline], tasks: Tasks, orders_after: int, start_after: int
) -> None:
    """The task of orders is set for 30 minutes after their customers came, or for at once."""
    pipeline = make()
    (port,) = free_ports([0])
    queue = CloudQueue(
        client=tasks.client,
        name=tasks.queue,
        url=f"http://127.0.0.1:{port}/",
        service_account="tasks@test.iam.gserviceaccount.com",
    )
    pipeline.services = replace(pipeline.services, queue=queue)
    customers_come = datetime.now(UTC)
    uploads = sorted(
        [
            (customers_come, f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"})),
            (
                customers_come + timedelta(minutes=orders_after),
                f"{ORDERS}.csv",
                orders_csv({"ORDER_NUMBER": "D1"}),
            ),
        ]
    )

    for when, name, content in uploads:
        pipeline.clock.now = when
        pipeline.upload(name, content)

    orders = pipeline.import_(ORDERS)
    assert orders.status == "scheduled"
    task = tasks.client.get_task(name=f"{tasks.queue}/tasks/{orders.task}", timeout=PATIENCE)
    assert task.schedule_time == customers_come + timedelta(minutes=start_after)
    assert task.http_request.url == f"http://127.0.0.1:{port}/"


# -- bad rows ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for a row to be wrong."""

    code: str
    column: str
    """The column that is named; "" where none is."""
    says: str
    """Part of the reason."""
    spoil: Callable[[list[str]], list[str]]
    """Makes the row wrong."""
    reported: Callable[[list[str]], list[str]] | None = None
    """The spoilt row as the rejected file shows it; None where the row is loaded, with a warning
    in place of the bad cell."""


def put(column: str, cell: str) -> Callable[[list[str]], list[str]]:
    """Return what replaces one cell of a row."""
    place = CUSTOMER_COLUMNS.index(column)
    return lambda cells: [*cells[:place], cell, *cells[place + 1 :]]


def as_it_is(cells: list[str]) -> list[str]:
    return cells


WIDTH = len(CUSTOMER_COLUMNS)

FAULTS = (
    Fault("row.missing_key", "PERIDX", "is blank", put("PERIDX", "  "), as_it_is),
    Fault("row.bad_key", "PERIDX", "spreadsheet has shortened", put("PERIDX", "1.2E+9"), as_it_is),
    Fault("row.bad_key", "PERIDX", "other than digits", put("PERIDX", "P-77"), as_it_is),
    Fault(
        *("row.cell_count", "", f"has {WIDTH - 3} cells where the header has {WIDTH}"),
        lambda cells: cells[:-3],
        lambda cells: [*cells, "", "", ""],
    ),
    Fault(
        *("row.cell_count", "", f"has {WIDTH + 1} cells where the header has {WIDTH}"),
        lambda cells: [*cells[:4], "UNIT 1", *cells[4:]],
        lambda cells: [*cells[: WIDTH - 1], ",".join(cells[WIDTH - 1 :])],
    ),
    Fault(
        *("row.nul", "", "zero bytes"),
        put("CITY", "HOB\0ART"),
        put("CITY", "HOB\ufffdART"),
    ),
    Fault("row.bad_email", "EMAIL", "it has no @", put("EMAIL", "nobody.example.com")),
    Fault("row.bad_date", "DOB", "there is no such day", put("DOB", "1990-02-30")),
    Fault("row.bad_time", "LAST_UPDATED", "DD/MM/YYYY", put("LAST_UPDATED", "18/11/2024 10:00:00")),
    Fault("row.consent_unknown", "PRIVACY", "neither Yes nor No", put("PRIVACY", "Perhaps")),
)

EACH = 50
COUNT = 10_000


@dataclass(frozen=True, slots=True)
class Faulty:
    """A file of 10,000 rows, 500 of them faulty."""

    people: Sequence[Person]
    faults: Mapping[int, Fault]
    """Place of a row -> what is wrong with it."""
    rows: Sequence[list[str]]
    lines: Sequence[int]
    content: bytes

    @property
    def refused(self) -> list[int]:
        """Places of the rows that must not be loaded."""
        return [place for place in sorted(self.faults) if self.faults[place].reported]


@pytest.fixture(scope="module")
def faulty() -> Faulty:
    everybody = people("faulty", COUNT)
    places = random.Random("places").sample(range(COUNT), EACH * len(FAULTS))
    faults = {place: FAULTS[number % len(FAULTS)] for number, place in enumerate(places)}
    rows = [
        faults[place].spoil(cells_of(person)) if place in faults else cells_of(person)
        for place, person in enumerate(everybody)
    ]
    content, lines = csv_file(CUSTOMER_COLUMNS, rows)
    return Faulty(everybody, faults, rows, lines, content)


def test_bad_rows(stack: Hands, faulty: Faulty) -> None:
    """Every good row is loaded, every bad one is sent back with its reason and, mended, loaded."""
    stack.upload(f"pending/faulty/{CUSTOMERS}.csv", faulty.content)
    first = stack.wait_for("faulty", CUSTOMERS, "loaded_with_rejects", "rejected", "failed")
    expected = documents_of(faulty, first)

    refused = len(faulty.refused)
    assert first.status == "loaded_with_rejects", first.status_text
    assert (first.rows.read, first.rows.loaded) == (COUNT, COUNT - refused)
    assert (first.rows.unchanged, first.rows.rejected) == (0, refused)
    assert stack.ids("connections/faulty/customers") == set(expected)

    name = f"rejected/faulty/{CUSTOMERS}.rejected.csv"
    with stack.sftp() as sftp:
        with sftp.open(name) as file:
            sent_back = file.read()
        with sftp.open(f"reports/faulty/{CUSTOMERS}.report.json") as file:
            report = json.loads(file.read())
    header, *rejects = csv.reader(io.StringIO(sent_back.decode("utf-8-sig"), newline=""))
    check_rejects(faulty, header, rejects)
    check_report(faulty, report)
    check_warnings(faulty, first)

    again = "customers_20241118T193000Z"
    mended = [
        [*cells_of(faulty.people[place]), *row[WIDTH:]]
        for place, row in zip(faulty.refused, rejects, strict=True)
    ]
    content, lines = csv_file(header, mended, encoding="utf-8-sig")
    stack.upload(f"pending/faulty/{again}.csv", content)
    second = stack.wait_for("faulty", again, "loaded", "loaded_with_rejects", "rejected", "failed")

    assert second.status == "loaded", second.status_text
    assert (second.rows.read, second.rows.loaded) == (refused, refused)
    assert second.warnings == ()
    for place, line in zip(faulty.refused, lines, strict=True):
        person = faulty.people[place]
        expected[person.key] = customer_document(
            person.cells,
            import_=replace(second, exported_at=first.exported_at),
            line=line,
        )
    assert len(expected) == COUNT
    assert differences(expected, stack.documents("connections/faulty/customers")) == []


def documents_of(faulty: Faulty, import_: Import) -> dict[str, dict[str, Any]]:
    """Return the documents that must come of the file: bad optional cells are left out."""
    return {
        person.key: customer_document(
            person.cells,
            import_=import_,
            line=faulty.lines[place],
            without=(faulty.faults[place].column,) if place in faulty.faults else (),
        )
        for place, person in enumerate(faulty.people)
        if place not in faulty.refused
    }


def check_rejects(faulty: Faulty, header: list[str], rejects: list[list[str]]) -> None:
    """Hold the rejected file against the rows that were spoilt beyond use, in their order."""
    assert header == [*CUSTOMER_COLUMNS, "line", "column", "code", "reason", "export"]
    expected = []
    for place in faulty.refused:
        fault = faulty.faults[place]
        assert fault.reported is not None
        shown = fault.reported(faulty.rows[place])
        expected.append([*shown, str(faulty.lines[place]), fault.column, fault.code, CUSTOMERS])
    assert [[*row[:-2], row[-1]] for row in rejects] == expected
    for place, row in zip(faulty.refused, rejects, strict=True):
        assert faulty.faults[place].says in row[-2]


def check_report(faulty: Faulty, report: dict[str, Any]) -> None:
    """Hold the verdict against everything that was spoilt."""
    assert report["status"] == "loaded_with_rejects"
    assert report["rejectedFile"] == f"rejected/faulty/{CUSTOMERS}.rejected.csv"
    assert report["problemsListed"] == report["problemsTotal"] == len(faulty.faults)
    named = [
        (problem["line"], problem.get("column", ""), problem["code"])
        for problem in report["problems"]
    ]
    assert sorted(named) == [
        (faulty.lines[place], fault.column, fault.code)
        for place, fault in sorted(faulty.faults.items())
    ]
    says = {faulty.lines[place]: fault.says for place, fault in faulty.faults.items()}
    for problem in report["problems"]:
        assert says[problem["line"]] in problem["message"]
        assert problem["hint"]
    codes = [fault.code for fault in FAULTS]
    assert report["problemCounts"] == {code: EACH * codes.count(code) for code in codes}


def check_warnings(faulty: Faulty, import_: Import) -> None:
    """Hold the ledger's warnings, one a code and column, against what was spoilt."""
    expected: dict[tuple[str, str], tuple[int, int]] = {}
    for place, fault in sorted(faulty.faults.items()):
        count, first = expected.get((fault.code, fault.column), (0, faulty.lines[place]))
        expected[fault.code, fault.column] = count + 1, first
    assert {
        (warning["code"], warning.get("column", "")): (warning["count"], warning["line"])
        for warning in import_.findings
    } == expected


# -- the everyday case ------------------------------------------------------------------------


def test_latency(stack: Hands, record_testsuite_property: Callable[[str, object], None]) -> None:
    """The documents of 1,000 rows say what the rows say; how soon they did is on record."""
    everybody = people("everyday", 1000)
    content, lines = csv_file(CUSTOMER_COLUMNS, map(cells_of, everybody))
    customers = "connections/everyday/customers"

    with stack.sftp() as sftp:
        file = sftp.open(f"pending/everyday/{CUSTOMERS}.csv", "wb")
        file.write(content)
        file.flush()
        began = time.monotonic()
        file.close()
    assert eventually(lambda: stack.count(customers) == len(everybody))
    seconds = time.monotonic() - began
    record_testsuite_property("seconds from upload to documents, 1,000 rows", round(seconds, 2))

    ended = stack.wait_for("everyday", CUSTOMERS, "loaded")
    expected = {
        person.key: customer_document(person.cells, import_=ended, line=line)
        for person, line in zip(everybody, lines, strict=True)
    }
    assert differences(expected, stack.documents("connections/everyday/customers")) == []
