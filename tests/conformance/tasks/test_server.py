"""The local tasks server itself: its deadlines, its folder, and as a program of its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from google.api_core import exceptions

from local.emulators.tasks import InUse, Server, serve
from local.emulators.tasks.store import Store
from tests.conformance.tasks.helpers import (
    PAUSED,
    RUNNING,
    connected,
    create_task,
    eventually,
    is_gone,
    make_queue,
    seconds,
    timestamp,
)
from tests.support.receiver import SOON, Receiver
from tests.support.waiting import PATIENCE

# -- what only a look behind the client shows -------------------------------------------------


def _with_deadline(directory: Path, url: str, deadline: float) -> str:
    """Keep a queue and a task of a shorter deadline than the service accepts; give its name."""
    server = serve(data=directory)
    try:
        with connected(server.port) as client:
            name = create_task(client, make_queue(client, paused=True, backoff=300.0), url).name
    finally:
        server.stop()
    store = Store(directory)
    (queue,), (held,) = store.queues(), store.tasks()
    queue.state = RUNNING
    held.task.dispatch_deadline.CopyFrom(seconds(deadline))
    store.put_queue(queue)
    store.put_task(held)
    store.close()
    return name


def test_deadline(receiver: Receiver, tmp_path: Path) -> None:
    """A response after the deadline is not heard, and the handler is not stopped."""
    handler = receiver.handler(held=True)
    name = _with_deadline(tmp_path, handler.url, 0.2)
    server = serve(data=tmp_path)
    try:
        with connected(server.port) as client:
            eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
            failed = client.get_task(name=name)
            client.run_task(name=name)
            calls = handler.wait(2)
            handler.gate.set()
    finally:
        server.stop()
    took = failed.last_attempt.response_time - failed.last_attempt.dispatch_time

    assert timedelta(seconds=0.2) <= took
    assert failed.last_attempt.response_status.code == 4
    assert (failed.dispatch_count, failed.response_count) == (1, 0)
    assert failed.schedule_time - failed.last_attempt.response_time == timedelta(minutes=5)
    assert calls[1].headers.get("X-CloudTasks-TaskRetryCount") == "1"
    assert calls[1].headers.get("X-CloudTasks-TaskExecutionCount") == "0"
    assert calls[1].headers.get("X-CloudTasks-TaskPreviousResponse") == "504"
    assert handler.most_busy == 2


def test_deadline_of_a_handler_that_drips(tmp_path: Path) -> None:
    """The deadline is for the whole response, however steadily its bytes come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        name = _with_deadline(tmp_path, url, 0.3)
        server = serve(data=tmp_path)
        try:
            with connected(server.port) as client:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                    hung_up = threading.Event()
                    while not hung_up.wait(0.02):
                        try:
                            connection.sendall(b".")
                        except ConnectionError:
                            hung_up.set()
                eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
                task = client.get_task(name=name)
        finally:
            server.stop()

    took = task.last_attempt.response_time - task.last_attempt.dispatch_time
    assert timedelta(seconds=0.3) <= took
    assert task.last_attempt.response_status.code == 4
    assert task.response_count == 0


def test_state_survives_a_stop(receiver: Receiver, tmp_path: Path) -> None:
    """Queues, their state, tasks, tombstones and the signing key are there after a stop."""
    handler = receiver.handler(held=True)
    first = serve(data=tmp_path)
    with connected(first.port) as client:
        queue = make_queue(client, max_concurrent_dispatches=7)
        name = create_task(client, queue, handler.url, task_id="under-way").name
        handler.wait(1)
        client.pause_queue(name=queue)
        create_task(client, queue, handler.url, task_id="deleted")
        client.delete_task(name=f"{queue}/tasks/deleted")
        before = client.get_queue(name=queue)
        deleted = make_queue(client, paused=True)
        create_task(client, deleted, handler.url)
        client.delete_queue(name=deleted)
    first.stop()
    second = serve(data=tmp_path)
    try:
        with connected(second.port) as client:
            after = client.get_queue(name=queue)
            with pytest.raises(exceptions.NotFound):
                client.get_queue(name=deleted)
            held_back = len(handler.calls)
            with pytest.raises(exceptions.AlreadyExists):
                create_task(client, queue, handler.url, task_id="deleted")
            handler.gate.set()
            client.resume_queue(name=queue)
            calls = handler.wait(2)
            eventually(lambda: is_gone(client, name))
    finally:
        second.stop()

    assert after == before
    assert after.state == PAUSED
    assert held_back == 1
    assert [call.headers.get("X-CloudTasks-TaskRetryCount") for call in calls] == ["0", "1"]
    assert first.key.id == second.key.id


def test_folder_is_for_one_server(tmp_path: Path) -> None:
    """A second server on the same folder is refused, since each task would be sent twice."""
    server = serve(data=tmp_path)
    try:
        with pytest.raises(InUse, match="in use by another tasks server"):
            serve(data=tmp_path)
    finally:
        server.stop()


def test_taken_port_is_refused(server: Server, tmp_path: Path) -> None:
    """A port that is taken is an error, and leaves the folder free for another try."""
    with pytest.raises(RuntimeError, match=str(server.port)):
        serve(data=tmp_path, port=server.port)
    serve(data=tmp_path).stop()


# -- as a program of its own ------------------------------------------------------------------


@contextlib.contextmanager
def _program(data: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the server as a program; give it and its port."""
    command = [sys.executable, "-m", "local.emulators.tasks", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, int(line.split(",")[0].rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def test_nothing_acknowledged_is_lost_by_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    """After kill -9 every task that was taken is sent: waiting, scheduled or under way."""
    waiting, scheduled = receiver.handler(), receiver.handler()
    under_way = receiver.handler(held=True)
    with _program(tmp_path) as (process, port), connected(port) as client:
        queue, paused = make_queue(client), make_queue(client, paused=True)
        for number in range(50):
            create_task(client, paused, f"{waiting.url}?{number}", http={"body": b"%d" % number})
        create_task(client, queue, scheduled.url, schedule_time=timestamp(time.time() + 1.0))
        create_task(client, queue, under_way.url)
        under_way.wait(1)
        process.kill()
        process.wait()
    under_way.gate.set()
    with _program(tmp_path) as (process, port), connected(port) as client:
        client.resume_queue(name=paused)
        calls = waiting.wait(50)
        scheduled.wait(1)
        again = under_way.wait(2)
        eventually(lambda: not list(client.list_tasks(parent=queue)))
        eventually(lambda: not list(client.list_tasks(parent=paused)))
        process.send_signal(signal.SIGTERM)
        code = process.wait(SOON)

    assert {call.body for call in calls} == {b"%d" % number for number in range(50)}
    assert len(waiting.calls) == 50
    assert [call.headers.get("X-CloudTasks-TaskRetryCount") for call in again] == ["0", "1"]
    assert code == 0


def test_program_says_why_it_cannot_start(tmp_path: Path) -> None:
    """A folder in use ends the program with exit code 2 and a sentence, not a traceback."""
    server = serve(data=tmp_path)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "local.emulators.tasks", "--port", "0", "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    finally:
        server.stop()

    assert ended.returncode == 2
    assert "in use by another tasks server" in ended.stderr
    assert "Traceback" not in ended.stderr
