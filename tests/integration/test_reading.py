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
from google.cloud import firestore

from local import google_emulator
from shared.files.filetype import file_type
from tests.support import node
from tests.support.waiting import PATIENCE
from tools.reference.data_model import DOCS, PAGE, example_document, page

ROOT = DOCS.parent
EXAMPLES = DOCS / "examples"
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
def db(
    request: pytest.FixtureRequest, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> firestore.Client:
    """A database with the documents of the page, on one of the two servers."""
    address = servers.firestore
    if request.param == "google":
        address = request.getfixturevalue("emulator").address
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
    return fill(firestore.Client(project=f"reading-{request.param}"))


def fill(db: firestore.Client) -> firestore.Client:
    """Store the example documents, and a few beside them."""
    john = example_document(file_type("customers"))
    order = example_document(file_type("orders"))
    connection = db.document("connections/main")
    for person in (
        john,
        {**john, "personId": "2", "email": "ana@example.com"},
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
    "db",
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
    assert reading.spent_cents(db, "main", "65432") == 750
    assert reading.may_be_written_to(db, "main", "DARWIN") == [
        "ana@example.com",
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
@pytest.mark.parametrize("db", ["google"], indirect=True)
def test_javascript_queries(
    db: firestore.Client, scripts: Path, emulator: google_emulator.Emulator
) -> None:
    """The JavaScript example finds the same through the rules, and nothing of others."""
    arguments = [emulator.host, str(emulator.port), "reading-google"]

    found = json.loads(node.run("run.mjs", *arguments, cwd=scripts))

    assert (
        found["status"],
        found["customer"]["firstName"],
        found["nobody"],
    ) == ("loaded", "JOHN", None)
    assert found["orders"] == ["D2", "D1"]
    assert found["writtenTo"] == ["ana@example.com", "john.smith@example.com"]
    assert found["refused"] == "permission-denied"
