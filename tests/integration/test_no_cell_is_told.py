"""What stands in the cells of a file stays in the documents and in the retailer's own reports."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import google.cloud.storage as storage
import pytest
from flask.testing import FlaskClient
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from grpc import StatusCode

from shared.gcp.events import StorageObject
from shared.scheduling import lying_there
from shared.services import Services
from tests.integration.conftest import Servers
from tests.support.alerts import Receiver
from tests.support.functions import EVENT_HEADERS, ROOT, client, lines, undisturbed
from tests.support.grpc_proxy import BATCH_WRITE, Fault, FaultProxy, Refuse
from tests.support.pipeline import BUCKET, Pipeline, csv_text
from tests.support.waiting import PATIENCE, eventually

MARK = "zq"
"""Every cell holds it, and nothing else does."""

CELLS = ("1961-03-17", "0491570156", "9751.35", "88776655")
"""Cells that are no words."""

CUSTOMERS = (
    *("PERIDX", "PERSON_CODE", "FIRSTNAME", "SURNAME", "MOBILE", "EMAIL", "DATEOFBIRTH"),
    *("PRIVACY", "LAST_UPDATED", "SHOE_SIZE"),
)
ORDERS = (
    *("PERIDX", "ORDER_NUMBER", "ORDER_DATE", "LINE_NUMBER", "SKU", "PRODUCT_CODE"),
    *("QUANTITY", "PRICE", "VALUE", "EMAIL"),
)


def customer(number: int, **cells: str) -> list[str]:
    """Return a row of a customer, good unless a cell says otherwise."""
    usual = {
        "PERIDX": f"88776655{number}",
        "PERSON_CODE": f"zqcode{number}",
        "FIRSTNAME": f"Zqana{number}",
        "SURNAME": f"zqsmith{number}",
        "MOBILE": "0491570156",
        "EMAIL": f"zqmail{number}@zqhome.example",
        "DATEOFBIRTH": "1961-03-17",
        "PRIVACY": "No",
        "LAST_UPDATED": "2023-05-01T10:00:00",
        "SHOE_SIZE": f"zqsize{number}",
    }
    return [(usual | cells)[name] for name in CUSTOMERS]


def order(number: int, **cells: str) -> list[str]:
    """Return a row of an order, good unless a cell says otherwise."""
    usual = {
        "PERIDX": f"88776655{number}",
        "ORDER_NUMBER": f"ZQO{number}",
        "ORDER_DATE": "2023-05-01",
        "LINE_NUMBER": "1",
        "SKU": f"zqsku{number}",
        "PRODUCT_CODE": "zqsock",
        "QUANTITY": "1",
        "PRICE": "9751.35",
        "VALUE": "9751.35",
        "EMAIL": f"zqmail{number}@zqhome.example",
    }
    return [(usual | cells)[name] for name in ORDERS]


GOOD_CUSTOMERS = [customer(number) for number in range(40)]
BAD_CUSTOMERS = [
    customer(50, PERIDX="zq/51"),
    customer(51, PERIDX=""),
    customer(52, EMAIL="zqno mail"),
    customer(53, DATEOFBIRTH="zqsoon"),
    customer(54, PRIVACY="zqperhaps"),
    customer(55, LAST_UPDATED="zqlately"),
    customer(56, SURNAME="zq" * 5_000),
    [*customer(57), "zqmore"],
    customer(58)[:-3],
    customer(59, FIRSTNAME="zq\0"),
    customer(1, FIRSTNAME="Zqagain"),
]
BAD_ORDERS = [
    order(60, VALUE="zqmuch", PRICE="zqmore"),
    order(61, QUANTITY="zqfew"),
    order(62, ORDER_DATE="zqday"),
    order(1, PERIDX="887766552", LINE_NUMBER="2"),
    order(3, SKU="zqother"),
    order(70, PERIDX="8877665570"),  # nobody knows this customer
]


@dataclass
class Stage:
    """The functions, the pipeline under them, and what goes wrong in between."""

    pipeline: Pipeline
    classify: FlaskClient
    load: FlaskClient
    sweep: FlaskClient
    proxy: FaultProxy
    receiver: Receiver

    def bring(self, name: str, text: str) -> None:
        """Put an object into the bucket, and let its event and its tasks come."""
        content = text.encode()
        self.pipeline.put(name, content)
        blob = self.pipeline.services.bucket.get_blob(name)
        event = {
            "bucket": BUCKET,
            "name": name,
            "generation": str(blob.generation),
            "size": str(len(content)),
            "crc32c": blob.crc32c,
            "timeCreated": self.pipeline.clock().isoformat(),
        }
        self.classify.post("/", headers=EVENT_HEADERS, data=json.dumps(event))
        self.work()

    def work(self) -> None:
        """Run what is due; a task that must come back comes back."""
        for _ in range(10):
            for task in self.pipeline.queue.due(self.pipeline.clock()):
                while self.load.post("/", data=task.body()).status_code == 503:
                    pass


@pytest.fixture
def stage(
    servers: Servers, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """Set the functions up over a database that can be made to refuse, and a receiver of alerts."""
    with (
        FaultProxy(servers.firestore) as proxy,
        Receiver().running() as receiver,
        undisturbed(monkeypatch),
    ):
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        project = f"p-{abs(hash(request.node.nodeid)):x}"
        bucket_client = storage.Client(
            project=project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": servers.storage},
        )
        for blob in bucket_client.list_blobs(BUCKET):
            blob.delete()
        pipeline = Pipeline.over(
            firestore.Client(project=project),
            bucket_client,
            alert_webhook=receiver.url,
            alert_rejected=True,
            max_attempts=2,
        )

        def as_of_the_clock(name: str, services: Services) -> StorageObject | None:
            found = lying_there(name, services)
            return found and replace(found, uploaded_at=pipeline.clock())

        monkeypatch.setattr("shared.scheduling.intake.lying_there", as_of_the_clock)
        functions = {
            name: client(name, pipeline.services, monkeypatch)
            for name in ("classify", "load", "sweep")
        }
        yield Stage(pipeline=pipeline, proxy=proxy, receiver=receiver, **functions)


def told(stage: Stage, capfd: pytest.CaptureFixture[str]) -> str:
    """Return all that was logged, recorded, reported in words and told, as one text."""
    output = "".join(capfd.readouterr())
    assert lines(output)
    records: list[Any] = [stage.receiver.got]
    for group in ("imports", "generations", "feeds", "alerts"):
        for one in stage.pipeline.database.collection_group(group).stream():
            records += [one.reference.path, one.to_dict()]
    records += [
        stage.pipeline.read(name)
        for name in stage.pipeline.objects()
        if name.startswith(("rejected/", "reports/")) and not name.endswith(".rejected.csv")
    ]
    text = json.dumps(records, default=str, ensure_ascii=False)
    # The ledger names orders without a customer by their numbers, as their documents are.
    return output + re.sub(r"among them (ZQO\d+(, )?)+", "", text)


def hold_no_cell(text: str) -> None:
    """Make sure that no cell is quoted in a text."""
    for cell in (MARK, *CELLS):
        at = text.lower().find(cell)
        assert at < 0, f"a cell is quoted: …{text[max(0, at - 200) : at + 40]}…"


def test_good_and_bad_rows(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """Rows that are loaded, rejected, warned of and refused by the database are told by no cell."""

    def refuse(method: str, request: bytes) -> Fault | None:
        quoted = request.decode("utf-8", "ignore")
        words = "".join(c if c.isprintable() else " " for c in quoted)[-300:]
        bad = method == BATCH_WRITE and b"zqcode7" in request
        return Refuse(StatusCode.INVALID_ARGUMENT, f"Invalid value: {words}") if bad else None

    stage.proxy.faults = refuse
    stage.bring(
        "customers_20230501T110000Z.csv", csv_text(CUSTOMERS, [*GOOD_CUSTOMERS, *BAD_CUSTOMERS])
    )
    stage.pipeline.clock.advance("12:30")
    orders = [order(number) for number in range(40)]
    stage.bring("orders_20230501T110500Z.csv", csv_text(ORDERS, [*orders, *BAD_ORDERS]))
    stage.bring("customers_20230501T111000Z.csv", csv_text(CUSTOMERS[1:], GOOD_CUSTOMERS))
    stage.bring("customers_20230501T112000Z.csv", csv_text(CUSTOMERS, BAD_CUSTOMERS))
    stage.bring("customers_20230501T113000Z.csv", "zqana,zqsmith,0491570156\r\n")
    stage.sweep.post("/")

    text = told(stage, capfd)

    import_ = stage.pipeline.import_("customers_20230501T110000Z")
    codes = {warning["code"] for warning in import_.findings}
    assert {"write.refused", "row.bad_key", "row.bad_email", "row.nul"} <= codes
    assert stage.pipeline.import_("orders_20230501T110500Z").status == "loaded_with_rejects"
    assert MARK in str(stage.pipeline.documents("customers")).lower()
    rejected = stage.pipeline.read("rejected/customers_20230501T110000Z.rejected.csv")
    assert {"zqcode7", "zqcode50"} <= set(rejected.split(","))
    hold_no_cell(text)


def test_a_crash_that_quotes_a_cell(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An import that fails with an exception about a row fails without its words."""

    def crash(keys: list[str]) -> None:
        raise ValueError(f"cannot plan {keys}")

    monkeypatch.setattr("shared.parsing.examination.hashes", crash)
    stage.bring("customers_20230501T110000Z.csv", csv_text(CUSTOMERS, GOOD_CUSTOMERS))

    text = told(stage, capfd)

    assert stage.pipeline.import_("customers_20230501T110000Z").status == "failed"
    assert "ValueError" in stage.receiver.got[0]["text"]
    assert text.count('"A worker failed."') == 2
    hold_no_cell(text)


@pytest.mark.parametrize("code", [StatusCode.PERMISSION_DENIED, StatusCode.NOT_FOUND])
def test_a_database_that_quotes_what_it_refuses(
    stage: Stage, capfd: pytest.CaptureFixture[str], code: StatusCode
) -> None:
    """An import that the database refuses as a whole fails with the reason, and without a cell."""

    def refuse(method: str, request: bytes) -> Fault | None:
        quoted = "".join(c if c.isprintable() else " " for c in request.decode("utf-8", "ignore"))
        return Refuse(code, f"Not for you: {quoted[-200:]}") if method == BATCH_WRITE else None

    stage.proxy.faults = refuse
    stage.bring("customers_20230501T110000Z.csv", csv_text(CUSTOMERS, GOOD_CUSTOMERS))

    text = told(stage, capfd)

    import_ = stage.pipeline.import_("customers_20230501T110000Z")
    assert (import_.status, import_.attempt) == ("failed", 2)
    assert code.name in import_.status_text
    assert "Not for you" in import_.status_text
    hold_no_cell(text)


BROKEN_LOAD = """
import logging
import threading
import warnings

import shared.web.callers
import shared.loading
import shared.ledger.tasks

shared.web.callers.check = lambda *_, **__: None

CELL = "z" + "qcell"  # apart, because a trace holds the lines of the program


def broken(task, services):
    logging.getLogger("library").error(f"cannot read {CELL}")
    logging.getLogger("library").warning("cannot read %s", CELL)
    warnings.warn(f"{CELL} is odd")
    thread = threading.Thread(target=int, args=(CELL,))
    thread.start()
    thread.join()
    int(CELL)


shared.loading.work = broken

from functions.load import load
"""


def test_the_process_itself(servers: Servers, tmp_path: Path) -> None:
    """Under the real server everything that a process writes is one JSON object a line."""
    source = tmp_path / "main.py"
    source.write_text(BROKEN_LOAD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "GOOGLE_CLOUD_PROJECT": "p-process",
        "BUCKET": BUCKET,
        "LOAD_URL": "http://127.0.0.1:9/",
        "TASKS_SERVICE_ACCOUNT": "tasks@example.com",
        "FIRESTORE_EMULATOR_HOST": servers.firestore,
        "STORAGE_EMULATOR_HOST": servers.storage,
        "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:9",
        "LOG_EXECUTION_ID": "true",  # as the cloud sets it
    }
    task = {
        "connection": "main",
        "import": "orders_20230501T110500Z",
        "generation": 1,
        "number": 1,
    }
    output = tmp_path / "output"
    with output.open("w") as written:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "functions_framework", "--host", "127.0.0.1"),
                *("--port", str(port), "--source", str(source), "--target", "load"),
            ],
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert eventually(lambda: _listens(port)), output.read_text()
        answers = [
            _post(port, body)
            for body in (json.dumps(task).encode(), b"[" * 60_000, b"zqcell", b"x" * 2_000_000)
        ]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)

    assert [status for status, _ in answers] == [500, 400, 400, 400]
    found = lines(output.read_text())
    assert {"library", None} <= {line.get("logger") for line in found}
    assert sum(line.get("error") == "ValueError" for line in found) == 2
    assert sum(line["message"].startswith("Not a task of ours") for line in found) == 3
    hold_no_cell(output.read_text() + str(answers))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _post(port: int, body: bytes) -> tuple[int, str]:
    headers = {"Function-Execution-Id": "1"}  # else any letters
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
