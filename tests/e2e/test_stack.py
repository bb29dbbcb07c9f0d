"""The stack as its users have it: started, used, ended, killed and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from local.endpoints import Endpoints
from local.processes import answers, is_free
from local.sample_data import Sample, make_samples
from local.stack import PORTS
from tests.support.pipeline import customers_csv, orders_csv
from tests.support.stack import ROOT, Up, hands_on
from tests.support.waiting import PATIENCE, alive, descendants, eventually

CUSTOMERS = "customers_20241118T180000Z"
ORDERS = "orders_20241118T180500Z"


@pytest.fixture(scope="module")
def customers() -> Sample:
    """A small customers file of the connection nz."""
    return next(sample for sample in make_samples() if CUSTOMERS in sample.path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack that the tests leave as they find it."""
    with Up(tmp_path_factory.mktemp("up") / "data") as running:
        yield running


def ports_of(endpoints: Endpoints) -> list[int]:
    return [
        *(int(url.rstrip("/").rpartition(":")[2]) for url in endpoints.functions.values()),
        int(endpoints.firestore.rpartition(":")[2]),
        int(endpoints.storage.rpartition(":")[2]),
        int(endpoints.tasks.rpartition(":")[2]),
        endpoints.sftp.port,
    ]


def free_base() -> int:
    """Find as many consecutive free ports as a stack has, elsewhere in every run."""
    bases = range(21000, 30000, len(PORTS))
    return next(
        base
        for base in random.sample(bases, len(bases))
        if all(is_free(base + place) for place in range(len(PORTS)))
    )


def test_endpoints(up: Up) -> None:
    """endpoints.json says where everything is, in the agreed form, once everything answers."""
    endpoints = up.ready()

    content = json.loads((up.data / "endpoints.json").read_text())

    assert list(content) == [
        *("project", "location", "bucket", "queue", "firestore", "storage", "tasks", "sftp"),
        *("functions", "pid"),
    ]
    assert list(content["sftp"]) == ["host", "port", "user", "password"]
    assert list(content["functions"]) == ["classify", "load", "sweep", "status"]
    assert content["storage"].startswith("http://127.0.0.1:")
    assert content["pid"] == up.process.pid
    assert all(map(answers, ports_of(endpoints)))


def tasks_of(endpoints: Endpoints) -> dict[str, datetime]:
    """Return when each task of the queue is to start, as Cloud Tasks tells it."""
    with grpc.insecure_channel(endpoints.tasks) as channel:
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        queue = client.queue_path(endpoints.project, endpoints.location, endpoints.queue)
        return {
            task.name.rpartition("/")[2]: task.schedule_time
            for task in client.list_tasks(parent=queue)
        }


def test_an_upload_becomes_documents_and_outlives_a_restart(data: Path, customers: Sample) -> None:
    """Customers become documents, their orders a task in half an hour; both outlive a restart."""
    with Up(data) as first:
        endpoints = first.ready()
        with hands_on(endpoints) as hands:
            with hands.sftp() as sftp:
                sftp.mkdir("pending/nz")
            hands.upload(f"pending/nz/{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}).encode())
            hands.wait_for("nz", ORDERS, "waiting")
            # A task, here the one that judges orders, is in the queue until its answer is taken.
            assert eventually(lambda: not tasks_of(endpoints))
            hands.upload(customers.object, customers.content)
            ended = hands.wait_for("nz", CUSTOMERS, "loaded")
            orders = hands.wait_for("nz", ORDERS, "scheduled")
            loaded = hands.documents("connections/nz/customers")
        assert eventually(lambda: set(tasks_of(endpoints)) == {orders.task})
        tasks = tasks_of(endpoints)
        code = first.end()

    assert code == 0
    assert ended.rows.read == ended.rows.loaded == customers.rows
    assert {
        key: document.get("subscribed") for key, document in loaded.items()
    } == customers.truth.customers
    assert tasks == {orders.task: ended.uploaded_at + timedelta(minutes=30)}

    with Up(data) as second:
        again = second.ready()
        with hands_on(again) as hands:
            kept = hands.documents("connections/nz/customers")
        tasks_again = tasks_of(again)

    assert kept == loaded
    assert tasks_again == tasks
    assert again.sftp == endpoints.sftp
    assert ports_of(again) == ports_of(endpoints)


def test_kill(data: Path) -> None:
    """After kill -9 in mid-load every part ends by itself, and a new start loads to the end."""
    count, environment = 20_000, {"LEASE": "10s"}
    rows = ({"PERIDX": str(number)} for number in range(1, count + 1))
    last = orders_csv({"ORDER_NUMBER": "D1", "PERIDX": str(count)})
    customers = "connections/nz/customers"
    with Up(data, "--orders-delay", "1s", environment=environment) as killed:
        endpoints = killed.ready()
        below = descendants(killed.process.pid)
        with hands_on(endpoints) as hands:
            hands.upload(f"pending/nz/{CUSTOMERS}.csv", customers_csv(*rows).encode())
            hands.upload(f"pending/nz/{ORDERS}.csv", last.encode())
            assert eventually(lambda: hands.count(customers) > 0)
        killed.end(signal.SIGKILL)

        with Up(data, "--orders-delay", "1s", environment=environment) as successor:
            again = successor.ready()

            assert not any(map(alive, below))
            assert ports_of(again) == ports_of(endpoints)
            assert again.pid == successor.process.pid
            with hands_on(again) as hands:
                ended = hands.wait_for("nz", CUSTOMERS, "loaded", "failed", "rejected")
                orders = hands.wait_for("nz", ORDERS, "loaded", "failed", "rejected")
                found = hands.count(customers)

    assert [entry.status for entry in ended.history if entry.status == "loading"] == ["loading"] * 2
    assert (ended.status, ended.attempt, found) == ("loaded", 2, count)
    assert ended.rows.loaded + ended.rows.unchanged == count
    assert (orders.status, orders.rows.loaded, orders.rows.orphaned) == ("loaded", 1, 0)


def test_one_stack_a_folder(up: Up) -> None:
    """A second start in the folder of a running stack is refused and leaves that one alone."""
    endpoints = up.ready()

    second = subprocess.run(
        [sys.executable, "-m", "local", "up", "--data", str(up.data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert second.returncode == 2
    assert f"A stack already runs in {up.data} (process {endpoints.pid})" in second.stderr
    assert all(map(answers, ports_of(endpoints)))
    assert (up.data / "endpoints.json").exists()


def test_a_killed_part_comes_back(up: Up) -> None:
    """A part that is killed is started again on its port, and the terminal says so."""
    port = int(up.ready().functions["classify"].rstrip("/").rpartition(":")[2])
    worker = next(
        pid
        for pid in descendants(up.process.pid)
        if f"--port\0{port}\0" in Path(f"/proc/{pid}/cmdline").read_text()
        and b"guard.py" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    )

    os.kill(worker, signal.SIGKILL)

    assert eventually(lambda: "classify was ended by SIGKILL" in up.output)
    assert eventually(lambda: answers(port))


def test_two_stacks(data: Path, tmp_path: Path, customers: Sample) -> None:
    """Two stacks run side by side, and the end of one is not the other's.

    A stop, by Ctrl-C or by SIGTERM, ends every process, frees every port and takes endpoints.json
    away. With --port-base a stack has the ports it was told, in the documented order.
    """
    base = free_base()
    with Up(data, "--port-base", str(base)) as up, Up(tmp_path / "other") as other:
        endpoints, others = up.ready(), other.ready()
        with hands_on(endpoints) as hands, hands_on(others) as other_hands:
            hands.upload(customers.object, customers.content)
            hands.wait_for("nz", CUSTOMERS, "loaded")
            elsewhere = other_hands.import_("nz", CUSTOMERS)
        ended = [ends(other, signal.SIGINT), all(map(answers, ports_of(endpoints)))]
        ended += [ends(up, signal.SIGTERM)]

    assert elsewhere is None
    assert ended == [True, True, True]
    assert endpoints.firestore == f"127.0.0.1:{base}"
    assert endpoints.storage == f"http://127.0.0.1:{base + 1}"
    assert endpoints.tasks == f"127.0.0.1:{base + 2}"
    assert endpoints.sftp.port == base + 4
    assert endpoints.functions == {
        name: f"http://127.0.0.1:{base + 5 + place}/"
        for place, name in enumerate(("classify", "load", "sweep", "status"))
    }


def ends(up: Up, number: signal.Signals) -> bool:
    """Stop a stack, and say whether nothing of it is left and its exit code is 0."""
    ports, below = ports_of(up.ready()), descendants(up.process.pid)
    assert len(below) >= 2 * len(PORTS) - 2

    code = up.end(number)

    assert [port for port in ports if not is_free(port)] == []
    assert eventually(lambda: not any(map(alive, below)))
    assert not (up.data / "endpoints.json").exists()
    return code == 0


def test_a_taken_port_is_named(data: Path) -> None:
    """A start on a port that something else has fails at once and says which port it is."""
    base = free_base()
    with (
        socket.create_server(("127.0.0.1", base)),
        Up(data, "--port-base", str(base)) as up,
    ):
        code = up.process.wait(PATIENCE)

    assert code == 1
    assert f"firestore cannot have port {base}: something else listens there." in up.output


def test_demo(tmp_path: Path) -> None:
    """The demo ends with exit code 0, says so last without colours, and can be repeated."""
    command = [sys.executable, "-m", "local", "demo", "--data", str(tmp_path), "--rows", "3000"]

    runs = [
        subprocess.run([*command, "--orders-delay", "1s"], cwd=ROOT, capture_output=True, text=True)
        for _ in range(2)
    ]

    for run in runs:
        assert run.returncode == 0, run.stdout + run.stderr
        assert run.stdout.splitlines()[-1].endswith("the demo is OK.")
        assert "\033" not in run.stdout
        assert max(map(len, run.stdout.splitlines())) <= 100
    assert "holds an earlier run" not in runs[0].stdout
    assert "holds an earlier run" in runs[1].stdout
