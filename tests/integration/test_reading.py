"""The queries of docs/data-model.md find what they promise, in both languages."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from local import google_emulator
from shared.files.filetype import file_type
from tests.support import node
from tests.support.index_check import IndexProxy
from tests.support.waiting import PATIENCE
from tools.reference.data_model import DOCS, PAGE, example_document, page

ROOT = DOCS.parent
EXAMPLES = DOCS / "examples"
PROJECT = "reading"
IMPORT = "customers_20230424T201230Z"


def test_page_is_up_to_date() -> None:
    """docs/data-model.md is up to date: else run python -m tools.reference.data_model."""
    assert page() == PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def emulator() -> Iterator[google_emulator.Emulator]:
    """Google's emulator with the rules that are deployed."""
    found = google_emulator.find()
    if isinstance(found, google_emulator.Missing):
        pytest.skip(found.reason)
    with google_emulator.start(found, rules=ROOT / "firestore.rules") as running:
        yield running


@pytest.fixture
def proxy(request: pytest.FixtureRequest, servers: Any) -> Iterator[IndexProxy]:
    """One of the two servers, which refuses a query whose index is not declared."""
    address = servers.firestore
    if request.param == "google":
        address = request.getfixturevalue("emulator").address
    with IndexProxy(address) as proxy:
        yield proxy


@pytest.fixture
def db(proxy: IndexProxy, monkeypatch: pytest.MonkeyPatch) -> firestore.Client:
    """A database with the documents of the page."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
    return fill(firestore.Client(project=PROJECT))


def fill(db: firestore.Client) -> firestore.Client:
    """Store the example documents, and a few beside them."""
    john = example_document(file_type("customers"))
    order = example_document(file_type("orders"))
    connection = db.document("connections/main")
    for person in (
        john,
        {**john, "personId": "2", "email": "Ana@example.com", "emailLower": "ana@example.com"},
        {**john, "personId": "3", "email": "no@example.com", "subscribed": False},
        {key: value for key, value in john.items() if key not in ("email", "subscribed")}
        | {"personId": "4"},
    ):
        connection.collection("customers").document(person["personId"]).set(person)
    for number, day, cents in (("D1", "2023-01-05", 1000), ("D2", "2023-03-05", -250)):
        other = {**order, "orderNumber": number, "orderDate": day, "valueCents": cents}
        connection.collection("orders").document(number).set(other)
    connection.collection("orders").document("D9").set({**order, "personId": "2"})
    connection.collection("imports").document(IMPORT).set({"status": "loaded"})
    return db


@pytest.fixture(scope="module")
def reading() -> ModuleType:
    """The module of examples, loaded from where the page has it from."""
    spec = importlib.util.spec_from_file_location("reading", EXAMPLES / "reading.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "proxy",
    ["embedded", pytest.param("google", marks=pytest.mark.google_emulator)],
    indirect=True,
)
def test_python_queries(db: firestore.Client, reading: ModuleType) -> None:
    """Each function of the Python example gives what its docstring says."""
    assert reading.customer(db, "main", "65432")["firstName"] == "JOHN"
    assert reading.customer(db, "main", "1") is None
    assert [order["orderNumber"] for order in reading.orders_of(db, "main", "65432")] == [
        "D2",
        "D1",
    ]
    assert [
        one["personId"] for one in reading.customers_by_email(db, "main", " ANA@Example.com")
    ] == ["2"]
    of_store = reading.orders_of_store(db, "main", "Doncaster", "2023-03-05")
    assert [order["orderNumber"] for order in of_store] == ["D2"]
    assert reading.spent_cents(db, "main", "65432") == 750
    assert reading.may_be_written_to(db, "main", "DARWIN") == [
        "Ana@example.com",
        "john.smith@example.com",
    ]
    heard: list[str] = []
    first = threading.Event()

    def hear(status: str) -> None:
        heard.append(status)
        first.set()

    listening = reading.when_loaded(db, "main", IMPORT, hear)
    assert first.wait(PATIENCE)
    listening.unsubscribe()
    assert heard == ["loaded"]


@pytest.fixture(scope="module")
def scripts() -> Iterator[Path]:
    """A folder with the JavaScript example, and the program that runs it."""
    runner = node.WANTED / "run.mjs"
    with node.folder([EXAMPLES / "reading.mjs", runner]) as place:
        yield place


@pytest.mark.google_emulator
@pytest.mark.parametrize("proxy", ["google"], indirect=True)
def test_javascript_queries(db: firestore.Client, scripts: Path, proxy: IndexProxy) -> None:
    """The JavaScript example finds the same through the rules, and nothing of others."""
    arguments = ["127.0.0.1", str(proxy.port), PROJECT]

    found = json.loads(node.run("run.mjs", *arguments, cwd=scripts))

    assert (
        found["status"],
        found["customer"]["firstName"],
        found["nobody"],
    ) == ("loaded", "JOHN", None)
    assert found["orders"] == ["D2", "D1"]
    assert found["writtenTo"] == ["Ana@example.com", "john.smith@example.com"]
    assert found["refused"] == "permission-denied"
    assert (found["byEmail"], found["ofStore"]) == (["2"], ["D2"])
    assert (found["shopper"], found["shopperOrders"]) == ("65432", ["D2", "D1"])
    assert found["shopperRefused"] == ["permission-denied"] * 3
    assert {
        ("customers", frozenset({"emailLower"}), ()),
        ("customers", frozenset({"subscribed", "address.city"}), ()),
        ("orders", frozenset({"personId"}), (("orderDate", "DESCENDING"),)),
        ("orders", frozenset({"store.code", "orderDate"}), ()),
    } == {(asked.group, asked.equal, asked.order) for asked in proxy.asked}


@pytest.mark.parametrize("proxy", ["embedded"], indirect=True)
def test_a_query_without_its_index(db: firestore.Client) -> None:
    """A query that needs an index which is not declared fails as it would in the cloud."""
    orders = db.collection("connections/main/orders")
    person = FieldFilter("personId", "==", "65432")

    for query in (
        orders.where(filter=person).order_by("orderedAt"),
        orders.where(filter=person).order_by("orderDate"),
        orders.order_by("orderDate"),
        orders.where(filter=FieldFilter("source.row", "==", 2)),
        db.collection_group("orders").where(filter=person),
    ):
        with pytest.raises(FailedPrecondition, match="requires an index: "):
            query.get()
    with pytest.raises(FailedPrecondition, match="requires an index: "):
        orders.where(filter=person).sum("quantity").get()  # type: ignore[call-arg]
