"""The local tasks server, through the unmodified client and with a real HTTP server as handler."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.transport.requests import Request
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.oauth2 import id_token
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from local.emulators.tasks import InUse, Server, serve
from local.emulators.tasks.store import Store
from tests.support.receiver import SOON, Receiver
from tests.support.waiting import PATIENCE

Client = Any
"""A CloudTasksClient. It takes dictionaries too, which its annotations leave out."""

LOCATION = "projects/local-project/locations/australia-southeast1"
ACCOUNT = "tasks@local-project.iam.gserviceaccount.com"

PAUSED = tasks_v2.Queue.State.PAUSED
RUNNING = tasks_v2.Queue.State.RUNNING
FULL = tasks_v2.Task.View.FULL

_numbers = itertools.count(1)


# -- the client's side ----------------------------------------------------------------------


@contextlib.contextmanager
def _client(port: int) -> Iterator[Client]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(data=tmp_path_factory.mktemp("tasks"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with _client(server.port) as client:
        yield client


def _seconds(value: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(value * 1e9))
    return duration


def _time(unix_seconds: float) -> timestamp_pb2.Timestamp:
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromMicroseconds(round(unix_seconds * 1e6))
    return timestamp


def _queue(
    client: Client,
    *,
    paused: bool = False,
    backoff: float | tuple[float, float] = 0.02,
    attempts: int = 100,
    **limits: Any,
) -> str:
    """Make a queue of its own for a test and give its name."""
    least, most = backoff if isinstance(backoff, tuple) else (backoff, backoff)
    name = f"{LOCATION}/queues/q{next(_numbers)}"
    client.create_queue(
        parent=LOCATION,
        queue={
            "name": name,
            "rate_limits": limits,
            "retry_config": {
                "max_attempts": attempts,
                "min_backoff": _seconds(least),
                "max_backoff": _seconds(most),
            },
        },
    )
    if paused:
        client.pause_queue(name=name)
    return name


def _create(
    client: Client,
    queue: str,
    url: str = "http://127.0.0.1:1/",
    *,
    task_id: str | None = None,
    http: Mapping[str, Any] | None = None,
    **task: Any,
) -> tasks_v2.Task:
    if task_id is not None:
        task["name"] = f"{queue}/tasks/{task_id}"
    created: tasks_v2.Task = client.create_task(
        parent=queue, task={"http_request": {"url": url, **(http or {})}, **task}
    )
    return created


def _eventually(condition: Callable[[], bool]) -> None:
    """Wait for what only another process or the service itself can tell."""
    give_up = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.005)


def _is_gone(client: Client, name: str) -> bool:
    try:
        client.get_task(name=name)
    except exceptions.NotFound:
        return True
    return False


# -- queues ---------------------------------------------------------------------------------


def test_queue_defaults(client: Client) -> None:
    """A queue made without any setting has the service's defaults and runs."""
    name = f"{LOCATION}/queues/defaults"
    queue = client.create_queue(parent=LOCATION, queue={"name": name})

    assert queue.name == name
    assert queue.state == RUNNING
    assert queue.rate_limits.max_dispatches_per_second == 500
    assert queue.rate_limits.max_burst_size == 100
    assert queue.rate_limits.max_concurrent_dispatches == 1000
    assert queue.retry_config.max_attempts == 100
    assert queue.retry_config.min_backoff == timedelta(seconds=0.1)
    assert queue.retry_config.max_backoff == timedelta(hours=1)
    assert queue.retry_config.max_doublings == 16
    assert "max_retry_duration" not in queue.retry_config
    assert "purge_time" not in queue
    assert client.get_queue(name=name) == queue


def test_queue_settings_are_kept(client: Client) -> None:
    """What a queue is made with is what it has, apart from the burst, which is output only."""
    queue = client.create_queue(
        parent=LOCATION,
        queue={
            "name": f"{LOCATION}/queues/settings",
            "rate_limits": {
                "max_dispatches_per_second": 2.5,
                "max_concurrent_dispatches": 3,
                "max_burst_size": -7,
            },
            "retry_config": {
                "max_attempts": -1,
                "max_retry_duration": _seconds(7200),
                "min_backoff": _seconds(10),
                "max_backoff": _seconds(300),
                "max_doublings": 3,
            },
        },
    )

    assert queue.rate_limits.max_dispatches_per_second == 2.5
    assert queue.rate_limits.max_concurrent_dispatches == 3
    assert queue.rate_limits.max_burst_size == 10
    assert queue.retry_config.max_attempts == -1
    assert queue.retry_config.max_retry_duration == timedelta(hours=2)
    assert queue.retry_config.min_backoff == timedelta(seconds=10)
    assert queue.retry_config.max_backoff == timedelta(minutes=5)
    assert queue.retry_config.max_doublings == 3


def test_queue_is_made_once(client: Client) -> None:
    """A second queue of the same name is refused as ALREADY_EXISTS."""
    name = _queue(client)

    with pytest.raises(exceptions.AlreadyExists, match="Queue already exists"):
        client.create_queue(parent=LOCATION, queue={"name": name})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rate_limits": {"max_dispatches_per_second": -1}},
            "RateLimits.maxDispatchesPerSecond cannot be negative.",
        ),
        (
            {"rate_limits": {"max_dispatches_per_second": 501}},
            "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        ),
        (
            {"rate_limits": {"max_concurrent_dispatches": -1}},
            "RateLimits.maxConcurrentDispatches cannot be negative.",
        ),
        (
            {"rate_limits": {"max_concurrent_dispatches": 5001}},
            "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.",
        ),
        (
            {"retry_config": {"max_attempts": -2}},
            "RetryConfig.maxAttempts must be greater or equal to -1.",
        ),
        (
            {"retry_config": {"max_doublings": -1}},
            "RetryConfig.maxDoublings cannot be negative.",
        ),
        (
            {"retry_config": {"min_backoff": {"seconds": -1}}},
            "RetryConfig.minBackoff cannot be negative.",
        ),
        (
            {"retry_config": {"min_backoff": {"seconds": 9}, "max_backoff": {"seconds": 8}}},
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
    ],
)
def test_queue_with_a_wrong_setting_is_refused(
    client: Client, settings: dict[str, Any], message: str
) -> None:
    """A setting out of bounds is refused in the service's words, and no queue is made."""
    name = f"{LOCATION}/queues/wrong"

    with pytest.raises(exceptions.InvalidArgument) as refused:
        client.create_queue(parent=LOCATION, queue={"name": name, **settings})
    assert refused.value.message == message
    with pytest.raises(exceptions.NotFound):
        client.get_queue(name=name)


@pytest.mark.parametrize(
    ("parent", "name", "message"),
    [
        (LOCATION, f"{LOCATION}/queues/under_score", "Queue name must be formatted: "),
        (LOCATION, f"{LOCATION}/queues/{'q' * 101}", "Queue name must be formatted: "),
        (LOCATION, "queue", "Queue name must be formatted: "),
        (LOCATION, "projects/a/locations/b/queues/c", "must begin with projects/local-project"),
        ("somewhere", f"{LOCATION}/queues/q", "Invalid resource field value in the request."),
    ],
)
def test_queue_with_a_wrong_name_is_refused(
    client: Client, parent: str, name: str, message: str
) -> None:
    """A queue name must be well formed and within its parent."""
    with pytest.raises(exceptions.InvalidArgument, match=message):
        client.create_queue(parent=parent, queue={"name": name})


@pytest.mark.parametrize("method", ["get", "pause", "resume", "purge", "delete"])
def test_unknown_queue(client: Client, method: str) -> None:
    """Nothing can be done with a queue that does not exist."""
    message = {"delete": "Requested entity was not found."}.get(method, "Queue does not exist.")

    with pytest.raises(exceptions.NotFound, match=message):
        getattr(client, f"{method}_queue")(name=f"{LOCATION}/queues/unknown")


def test_queue_level_target_is_refused(client: Client) -> None:
    """A queue that would rewrite its tasks' targets is refused by name, not taken and ignored."""
    with pytest.raises(exceptions.MethodNotImplemented, match=r"Queue\.http_target"):
        client.create_queue(
            parent=LOCATION,
            queue={
                "name": f"{LOCATION}/queues/targeted",
                "http_target": {"uri_override": {"host": "example.test"}},
            },
        )


def test_queues_are_listed_in_pages(client: Client) -> None:
    """The queues of a location, and only those, come by name over as many pages as it takes."""
    location = "projects/local-project/locations/listed"
    names = [f"{location}/queues/{letter}" for letter in "abcde"]
    for name in reversed(names):
        client.create_queue(parent=location, queue={"name": name})
    first = client.list_queues(request={"parent": location, "page_size": 2})

    assert [queue.name for queue in next(first.pages).queues] == names[:2]
    listed = client.list_queues(request={"parent": location, "page_size": 2})
    assert [queue.name for queue in listed] == names


def test_queue_update_with_a_mask(client: Client) -> None:
    """An update changes what its mask names and nothing else; unset there means the default."""
    name = _queue(client, backoff=(1.0, 8.0), attempts=7, max_concurrent_dispatches=4)
    queue = client.update_queue(
        queue={
            "name": name,
            "rate_limits": {"max_dispatches_per_second": 50},
            "retry_config": {"max_backoff": _seconds(9), "max_doublings": 2},
        },
        update_mask=field_mask_pb2.FieldMask(
            paths=[
                "rate_limits.max_dispatches_per_second",
                "retry_config.max_backoff",
                "retry_config.max_attempts",
            ]
        ),
    )

    assert queue.rate_limits.max_dispatches_per_second == 50
    assert queue.rate_limits.max_burst_size == 50
    assert queue.rate_limits.max_concurrent_dispatches == 4
    assert queue.retry_config.max_backoff == timedelta(seconds=9)
    assert queue.retry_config.min_backoff == timedelta(seconds=1)
    assert queue.retry_config.max_doublings == 16
    assert queue.retry_config.max_attempts == 100
    assert client.get_queue(name=name) == queue


def test_queue_update_with_a_mask_of_nothing(client: Client) -> None:
    """A setting that a mask names and the update leaves out goes back to its default, alone."""
    name = _queue(client, backoff=(1.0, 8.0), attempts=7, max_concurrent_dispatches=4)
    paths = ["retry_config.max_attempts", "rate_limits"]
    queue = client.update_queue(
        queue={"name": name}, update_mask=field_mask_pb2.FieldMask(paths=paths)
    )

    assert queue.retry_config.max_attempts == 100
    assert queue.retry_config.min_backoff == timedelta(seconds=1)
    assert queue.rate_limits.max_concurrent_dispatches == 1000


def test_queue_update_without_a_mask(client: Client) -> None:
    """An update without a mask replaces every setting and leaves the state as it is."""
    name = _queue(client, paused=True, attempts=7, max_concurrent_dispatches=4)
    queue = client.update_queue(
        queue={"name": name, "rate_limits": {"max_dispatches_per_second": 5}, "state": RUNNING}
    )

    assert queue.rate_limits.max_dispatches_per_second == 5
    assert queue.rate_limits.max_concurrent_dispatches == 1000
    assert queue.retry_config.max_attempts == 100
    assert queue.state == PAUSED


def test_queue_update_makes_a_missing_queue(client: Client) -> None:
    """Updating a queue that does not exist makes it."""
    name = f"{LOCATION}/queues/made-by-update"
    queue = client.update_queue(queue={"name": name, "retry_config": {"max_attempts": 3}})

    assert queue.state == RUNNING
    assert queue.retry_config.max_attempts == 3
    assert client.get_queue(name=name) == queue


def test_queue_update_with_a_wrong_mask(client: Client) -> None:
    """A mask that names no field of a queue is refused."""
    with pytest.raises(exceptions.InvalidArgument, match=r"retry_config\.patience"):
        client.update_queue(
            queue={"name": _queue(client)},
            update_mask=field_mask_pb2.FieldMask(paths=["retry_config.patience"]),
        )


def test_paused_queue_sends_nothing_until_resumed(client: Client, receiver: Receiver) -> None:
    """A paused queue takes tasks and keeps them; resumed, it sends them in their order."""
    handler = receiver.handler()
    queue = _queue(client, max_concurrent_dispatches=1)
    paused = client.pause_queue(name=queue)
    for number in range(3):
        _create(client, queue, f"{handler.url}?{number}")
    # Another queue's task, made later, has come: theirs would have.
    other = receiver.handler()
    _create(client, _queue(client), other.url)
    other.wait(1)
    before = list(handler.calls)
    resumed = client.resume_queue(name=queue)
    calls = handler.wait(3)

    assert (paused.state, resumed.state) == (PAUSED, RUNNING)
    assert before == []
    assert [call.path[-1] for call in calls] == ["0", "1", "2"]


def test_purged_queue_is_empty(client: Client, receiver: Receiver) -> None:
    """A purge removes every task, says when, and leaves the queue at work."""
    handler = receiver.handler()
    queue = _queue(client, paused=True)
    for number in range(5):
        _create(client, queue, f"{handler.url}?{number}")
    before = datetime.now(UTC)
    purged = client.purge_queue(name=queue)
    client.resume_queue(name=queue)
    _create(client, queue, f"{handler.url}?after")
    calls = handler.wait(1)

    assert abs(purged.purge_time - before) < timedelta(seconds=SOON)
    assert [call.path.partition("?")[2] for call in calls] == ["after"]


def test_deleted_queue(client: Client, receiver: Receiver) -> None:
    """A deleted queue is gone with its tasks, and its name may not be used again at once."""
    queue = _queue(client, paused=True)
    task = _create(client, queue, receiver.handler().url)
    client.delete_queue(name=queue)

    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.get_queue(name=queue)
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        _create(client, queue)
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=task.name)
    with pytest.raises(exceptions.FailedPrecondition, match="existed too recently"):
        client.create_queue(parent=LOCATION, queue={"name": queue})
    with pytest.raises(exceptions.FailedPrecondition, match="existed too recently"):
        client.update_queue(queue={"name": queue})


# -- tasks ----------------------------------------------------------------------------------


def test_task_defaults(client: Client) -> None:
    """A task gets an id of digits, the present as its time, 10 minutes, POST and its user agent."""
    queue = _queue(client, paused=True)
    before = datetime.now(UTC)
    task = _create(client, queue, "https://example.test/load")

    assert task.name.startswith(f"{queue}/tasks/")
    assert task.name.rpartition("/")[2].isdigit()
    assert before - timedelta(milliseconds=1) <= task.schedule_time
    assert task.schedule_time <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert task.create_time == task.schedule_time.replace(microsecond=0)
    assert task.dispatch_deadline == timedelta(minutes=10)
    assert task.http_request.http_method == tasks_v2.HttpMethod.POST
    assert dict(task.http_request.headers) == {"User-Agent": "Google-Cloud-Tasks"}
    assert (task.dispatch_count, task.response_count) == (0, 0)
    assert "first_attempt" not in task
    assert "last_attempt" not in task
    assert client.get_task(name=task.name) == task


def test_task_settings_are_kept(client: Client) -> None:
    """Time, deadline, method, headers and token of a task are kept; counts sent along are not."""
    when = time.time() + 3600
    task = _create(
        client,
        _queue(client),
        task_id="Kept_id-1",
        http={
            "http_method": tasks_v2.HttpMethod.PUT,
            "headers": {"content-type": "text/csv", "user-agent": "mine"},
            "oidc_token": {"service_account_email": ACCOUNT, "audience": "aud"},
        },
        schedule_time=_time(when),
        dispatch_deadline=_seconds(15),
        dispatch_count=5,
    )

    assert task.name.endswith("/tasks/Kept_id-1")
    assert task.schedule_time.timestamp() == pytest.approx(when, abs=1e-5)
    assert task.dispatch_deadline == timedelta(seconds=15)
    assert task.http_request.http_method == tasks_v2.HttpMethod.PUT
    assert dict(task.http_request.headers) == {
        "content-type": "text/csv",
        "User-Agent": "Google-Cloud-Tasks",
    }
    assert task.http_request.oidc_token.service_account_email == ACCOUNT
    assert task.http_request.oidc_token.audience == "aud"
    assert task.dispatch_count == 0


def test_views(client: Client) -> None:
    """The body is shown in the FULL view only, wherever a task is shown."""
    queue = _queue(client, paused=True)
    task = {"http_request": {"url": "http://127.0.0.1:1/", "body": b"a,b\n"}}
    created = client.create_task(request={"parent": queue, "task": task, "response_view": FULL})
    basic = client.get_task(name=created.name)
    full = client.get_task(request={"name": created.name, "response_view": FULL})
    (listed_basic,) = client.list_tasks(parent=queue)
    (listed_full,) = client.list_tasks(request={"parent": queue, "response_view": FULL})

    assert [each.http_request.body for each in (created, full, listed_full)] == [b"a,b\n"] * 3
    assert [each.http_request.body for each in (basic, listed_basic)] == [b""] * 2
    assert (basic.view, full.view) == (tasks_v2.Task.View.BASIC, FULL)


def test_past_schedule_time_becomes_now(client: Client) -> None:
    """A time in the past is replaced by the present."""
    before = time.time()
    task = _create(client, _queue(client, paused=True), schedule_time=_time(before - 86400))

    assert before - 0.001 <= task.schedule_time.timestamp() <= time.time() + 0.001


def test_waiting_name_is_refused(client: Client) -> None:
    """The name of a task that waits is ALREADY_EXISTS, in the service's words."""
    queue = _queue(client, paused=True)
    _create(client, queue, task_id="once")

    with pytest.raises(exceptions.AlreadyExists) as refused:
        _create(client, queue, task_id="once")
    assert refused.value.message == "Requested entity already exists"


def test_executed_task(client: Client, receiver: Receiver) -> None:
    """A task that has succeeded is NOT_FOUND, and its name stays refused."""
    handler = receiver.handler()
    queue = _queue(client)
    name = _create(client, queue, handler.url, task_id="done").name
    handler.wait(1)
    _eventually(lambda: _is_gone(client, name))

    for method in (client.get_task, client.delete_task, client.run_task):
        with pytest.raises(exceptions.NotFound, match="either successfully completed or was del"):
            method(name=name)
    with pytest.raises(exceptions.AlreadyExists):
        _create(client, queue, handler.url, task_id="done")


def test_deleted_task(client: Client, receiver: Receiver) -> None:
    """A deleted task is not sent, is NOT_FOUND, and its name stays refused."""
    deleted, sent = receiver.handler(), receiver.handler()
    queue = _queue(client, paused=True)
    name = _create(client, queue, deleted.url, task_id="deleted").name
    _create(client, queue, sent.url)
    client.delete_task(name=name)
    client.resume_queue(name=queue)
    sent.wait(1)

    assert deleted.calls == []
    with pytest.raises(exceptions.NotFound):
        client.delete_task(name=name)
    with pytest.raises(exceptions.AlreadyExists):
        _create(client, queue, task_id="deleted")


def test_name_is_free_again_when_its_tombstone_has_gone(receiver: Receiver, tmp_path: Path) -> None:
    """With tombstones of no duration a name may be used again as soon as its task is gone."""
    server = serve(data=tmp_path, tombstone_seconds=0)
    handler = receiver.handler()
    try:
        with _client(server.port) as client:
            queue = _queue(client)
            for count in (1, 2):
                name = _create(client, queue, handler.url, task_id="again").name
                handler.wait(count)
                _eventually(lambda name=name: _is_gone(client, name))  # type: ignore[misc]
            client.delete_queue(name=queue)
            again = client.create_queue(parent=LOCATION, queue={"name": queue})
    finally:
        server.stop()

    assert len(handler.calls) == 2
    assert again.name == queue


def test_task_of_an_unknown_queue(client: Client) -> None:
    """A queue that does not exist takes and lists no tasks."""
    queue = f"{LOCATION}/queues/unknown"

    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        _create(client, queue)
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.list_tasks(parent=queue)


def test_unknown_task(client: Client) -> None:
    """A task that never was is NOT_FOUND to get, delete and run."""
    name = f"{_queue(client)}/tasks/never"

    for method in (client.get_task, client.delete_task, client.run_task):
        with pytest.raises(exceptions.NotFound, match="Requested entity was not found"):
            method(name=name)


@pytest.mark.parametrize(
    ("task_id", "message"),
    [
        ("a.b", 'Task ID "a.b" can contain only letters'),
        ("with space", 'Task ID "with space" can contain only letters'),
        ("a/b", 'Task ID "a/b" can contain only letters'),
        ("newline\n", "can contain only letters"),
        ("é", "can contain only letters"),
        ("x" * 501, "Task ID must between 1 and 500 characters"),
        ("", "Task ID must between 1 and 500 characters"),
    ],
)
def test_wrong_task_id_is_refused(client: Client, task_id: str, message: str) -> None:
    """A task id is 1 to 500 letters, digits, hyphens and underscores."""
    with pytest.raises(exceptions.InvalidArgument, match=message):
        _create(client, _queue(client, paused=True), task_id=task_id)


def test_longest_task_id(client: Client) -> None:
    """A task id of 500 characters is taken."""
    task = _create(client, _queue(client, paused=True), task_id="x" * 500)

    assert task.name.endswith("/" + "x" * 500)


def test_task_name_of_another_queue_is_refused(client: Client) -> None:
    """A task's full name must lie in the queue that it is created in."""
    queue, other = _queue(client), _queue(client)

    with pytest.raises(exceptions.InvalidArgument, match="must be the same as the queue name"):
        _create(client, queue, name=f"{other}/tasks/mine")
    with pytest.raises(exceptions.InvalidArgument, match="Task name must be formatted"):
        _create(client, queue, name="mine")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, "Task.httpRequest is required."),
        ({"http_request": {}}, "HttpRequest.url is required."),
        ({"http_request": {"url": "example.test"}}, "must start with 'http://' or 'https://'"),
        ({"http_request": {"url": "ftp://example.test"}}, "must start with 'http://'"),
        ({"http_request": {"url": "http://e.test/" + "x" * 2083}}, "no longer than 2083"),
        (
            {"http_request": {"url": "http://e.test", "http_method": "GET", "body": b"x"}},
            "allowed with POST, PUT and PATCH only",
        ),
        (
            {"http_request": {"url": "http://e.test", "headers": {"X-A": "b\r\nX-C: d"}}},
            "'X-A' is not a valid header",
        ),
        (
            {"http_request": {"url": "http://e.test", "headers": {"X-A": "b" * 82_000}}},
            "less than 80KB",
        ),
        (
            {"http_request": {"url": "http://e.test", "oidc_token": {"audience": "a"}}},
            "OidcToken.serviceAccountEmail is required",
        ),
        (
            {"http_request": {"url": "http://e.test"}, "dispatch_deadline": {"seconds": 14}},
            r"Task.dispatchDeadline must be between \[15s, 30m\].",
        ),
        (
            {"http_request": {"url": "http://e.test"}, "dispatch_deadline": {"seconds": 1801}},
            r"Task.dispatchDeadline must be between \[15s, 30m\].",
        ),
    ],
)
def test_wrong_task_is_refused(client: Client, task: dict[str, Any], message: str) -> None:
    """A task that could not be sent as asked is refused when it is created, not later."""
    queue = _queue(client, paused=True)

    with pytest.raises(exceptions.InvalidArgument, match=message):
        client.create_task(parent=queue, task=task)
    assert list(client.list_tasks(parent=queue)) == []


def test_task_is_scheduled_no_more_than_30_days_ahead(client: Client) -> None:
    """30 days less a minute is taken, a minute more refused."""
    queue = _queue(client)
    limit = time.time() + 30 * 86400
    _create(client, queue, schedule_time=_time(limit - 60))

    with pytest.raises(exceptions.InvalidArgument, match="no more than 720h in the future"):
        _create(client, queue, schedule_time=_time(limit + 60))


def test_task_is_no_larger_than_a_mebibyte(client: Client) -> None:
    """A whole task a little under 1 MiB is taken, one of 1 MiB of body refused."""
    queue = _queue(client, paused=True)
    _create(client, queue, http={"body": b"x" * (2**20 - 1024)})

    with pytest.raises(exceptions.InvalidArgument) as refused:
        _create(client, queue, http={"body": b"x" * 2**20})
    assert refused.value.message == "Task size too large"


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ({"app_engine_http_request": {"relative_uri": "/"}}, "Task.app_engine_http_request"),
        (
            {"http_request": {"url": "http://e.test", "oauth_token": {"scope": "s"}}},
            "HttpRequest.oauth_token",
        ),
    ],
)
def test_unserved_targets_are_refused(client: Client, task: dict[str, Any], what: str) -> None:
    """What only the service itself can send to is UNIMPLEMENTED, by name."""
    with pytest.raises(exceptions.MethodNotImplemented, match=what):
        client.create_task(parent=_queue(client), task=task)


def test_tasks_are_listed_in_pages(client: Client) -> None:
    """Every task of a queue, and only those, is listed once over as many pages as it takes."""
    queue, other = _queue(client, paused=True), _queue(client, paused=True)
    names = {_create(client, queue, task_id=f"t{number}").name for number in range(7)}
    _create(client, other, task_id="t0")
    pages = list(client.list_tasks(request={"parent": queue, "page_size": 3}).pages)
    listed = [task.name for page in pages for task in page.tasks]

    assert [len(page.tasks) for page in pages] == [3, 3, 1]
    assert len(listed) == 7
    assert set(listed) == names
    assert pages[-1].next_page_token == ""


@pytest.mark.parametrize("request_part", [{"page_token": "?"}, {"page_size": -1}])
def test_wrong_page_is_refused(client: Client, request_part: dict[str, Any]) -> None:
    """A page token that is none of ours and a negative page size are refused."""
    with pytest.raises(exceptions.InvalidArgument, match=r"[Pp]age"):
        client.list_tasks(request={"parent": _queue(client), **request_part})


# -- sending --------------------------------------------------------------------------------


def test_request(client: Client, receiver: Receiver) -> None:
    """The handler gets method, path, query, headers and body as asked, and who it is from."""
    handler = receiver.handler()
    queue = _queue(client)
    task = _create(
        client,
        queue,
        f"{handler.url}?a=1&b=two words",
        http={"body": b'{"import": 1}', "headers": {"Content-Type": "application/json"}},
    )
    (call,) = handler.wait(1)
    micros = round(task.schedule_time.timestamp() * 1e6)

    assert call.method == "POST"
    assert call.path.endswith("?a=1&b=two%20words")
    assert call.body == b'{"import": 1}'
    assert call.headers == {
        "Host": receiver.url.removeprefix("http://"),
        "Content-Type": "application/json",
        "Content-Length": "13",
        "User-Agent": "Google-Cloud-Tasks",
        "X-CloudTasks-QueueName": queue.rpartition("/")[2],
        "X-CloudTasks-TaskName": task.name.rpartition("/")[2],
        "X-CloudTasks-TaskRetryCount": "0",
        "X-CloudTasks-TaskExecutionCount": "0",
        "X-CloudTasks-TaskETA": f"{micros // 10**6}.{micros % 10**6:06d}",
    }


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_methods(client: Client, receiver: Receiver, method: str) -> None:
    """Every method of the service reaches the handler, and its 200 ends the task."""
    handler = receiver.handler()
    name = _create(client, _queue(client), handler.url, http={"http_method": method}).name
    (call,) = handler.wait(1)
    _eventually(lambda: _is_gone(client, name))

    assert call.method == method


def test_headers_of_the_service_cannot_be_set(client: Client, receiver: Receiver) -> None:
    """A task's headers that only Cloud Tasks may set are replaced or dropped, the others kept."""
    handler = receiver.handler()
    headers = {
        "host": "evil.test",
        "content-length": "999",
        "USER-AGENT": "mine",
        "x-cloudtasks-taskretrycount": "77",
        "X-CloudTasks-Anything": "x",
        "X-Google-Secret": "x",
        "X-AppEngine-QueueName": "x",
        "authorization": "Bearer forged",
        "X-Own": "kept, too",
    }
    token = {"service_account_email": ACCOUNT}
    _create(client, _queue(client), handler.url, http={"headers": headers, "oidc_token": token})
    (call,) = handler.wait(1)

    assert call.headers["X-Own"] == "kept, too"
    assert call.headers["Host"] == receiver.url.removeprefix("http://")
    assert call.headers["User-Agent"] == "Google-Cloud-Tasks"
    assert call.headers.get("X-CloudTasks-TaskRetryCount") == "0"
    assert {name.lower() for name in call.headers} == {
        *("host", "content-length", "user-agent", "authorization", "x-own"),
        *(f"x-cloudtasks-{name}" for name in ("queuename", "taskname", "tasketa")),
        *(f"x-cloudtasks-{name}" for name in ("taskretrycount", "taskexecutioncount")),
    }
    assert "forged" not in call.headers["Authorization"]


@pytest.mark.parametrize("audience", ["", "https://load.example.test"])
def test_oidc_token(client: Client, receiver: Receiver, server: Server, audience: str) -> None:
    """The bearer token verifies with google-auth; its audience is the one given or the URL."""
    handler = receiver.handler()
    token = {"service_account_email": ACCOUNT, "audience": audience}
    _create(client, _queue(client), handler.url, http={"oidc_token": token})
    (call,) = handler.wait(1)
    kind, _, bearer = call.headers["Authorization"].partition(" ")
    claims = id_token.verify_token(
        bearer, Request(), audience=audience or handler.url, certs_url=server.certs_url
    )

    assert kind == "Bearer"
    assert claims["iss"] == "https://accounts.google.com"
    assert claims["email"] == ACCOUNT
    assert claims["email_verified"] is True
    assert claims["exp"] - claims["iat"] == 3600


def test_task_that_is_due_goes_out_at_once(client: Client, receiver: Receiver) -> None:
    """A task without a time goes out before one that was created earlier for a later time."""
    handler = receiver.handler()
    queue = _queue(client)
    _create(client, queue, f"{handler.url}?later", schedule_time=_time(time.time() + 3600))
    _create(client, queue, f"{handler.url}?now")

    assert [call.path.partition("?")[2] for call in handler.wait(1)] == ["now"]


def test_scheduled_task_goes_out_on_time(client: Client, receiver: Receiver) -> None:
    """Tasks go out in the order of their times, never before them."""
    handler = receiver.handler()
    queue = _queue(client, paused=True, max_concurrent_dispatches=1)
    start = time.time() + 0.15
    # The last first: the order of creation is not that of the times.
    for number in reversed(range(5)):
        url = f"{handler.url}?{number}"
        _create(client, queue, url, schedule_time=_time(start + number * 0.05))
    client.resume_queue(name=queue)
    calls = handler.wait(5)
    late = [call.at - (start + number * 0.05) for number, call in enumerate(calls)]

    assert [call.path[-1] for call in calls] == list("01234")
    assert min(late) >= -0.0001


def test_retries(client: Client, receiver: Receiver) -> None:
    """A failing task comes again after each backoff; its headers tell what has been before."""
    handler = receiver.handler(500, 404, 429, 503, 302)
    queue = _queue(client, backoff=(0.05, 0.1))
    name = _create(client, queue, handler.url).name
    calls = handler.wait(6)
    _eventually(lambda: _is_gone(client, name))
    pauses = [after.at - before.at for before, after in itertools.pairwise(calls)]

    assert [call.headers.get("X-CloudTasks-TaskRetryCount") for call in calls] == list("012345")
    # Answers of 5xx are not executions.
    assert [call.headers.get("X-CloudTasks-TaskExecutionCount") for call in calls] == list("001223")
    assert [call.headers.get("X-CloudTasks-TaskPreviousResponse") for call in calls] == [
        *(None, "500", "404", "429", "503", "302")
    ]
    assert [call.headers.get("X-CloudTasks-TaskRetryReason") for call in calls] == [
        None,
        *([""] * 5),
    ]
    assert len({call.headers.get("X-CloudTasks-TaskETA") for call in calls}) == 6
    assert pauses[0] >= 0.05
    assert min(pauses[1:]) >= 0.1


def test_attempts_are_shown(client: Client, receiver: Receiver) -> None:
    """A task that has failed shows when it was planned, sent and answered, with what, how often."""
    handler = receiver.handler(502, 404)
    queue = _queue(client, backoff=300.0)
    created = _create(client, queue, handler.url)
    _eventually(lambda: client.get_task(name=created.name).response_count == 1)
    once = client.get_task(name=created.name)
    client.run_task(name=created.name)
    _eventually(lambda: client.get_task(name=created.name).response_count == 2)
    twice = client.get_task(name=created.name)

    assert (once.dispatch_count, once.response_count) == (1, 1)
    assert once.first_attempt.dispatch_time == once.last_attempt.dispatch_time
    assert "response_time" not in once.first_attempt
    assert once.last_attempt.schedule_time == created.schedule_time
    assert once.last_attempt.response_time >= once.last_attempt.dispatch_time
    assert once.last_attempt.response_status.code == 13
    assert once.last_attempt.response_status.message == "INTERNAL(13): HTTP status code 502"
    backoff = once.schedule_time - once.last_attempt.response_time
    assert backoff == timedelta(minutes=5)
    assert (twice.dispatch_count, twice.response_count) == (2, 2)
    assert twice.first_attempt == once.first_attempt
    assert twice.last_attempt.dispatch_time > once.last_attempt.dispatch_time
    assert twice.last_attempt.response_status.message == "NOT_FOUND(5): HTTP status code 404"


def test_task_is_given_up_after_its_last_attempt(client: Client, receiver: Receiver) -> None:
    """After max_attempts failures the task is gone, and its name stays refused."""
    handler = receiver.handler(*[500] * 10)
    queue = _queue(client, attempts=3)
    name = _create(client, queue, handler.url, task_id="hopeless").name
    handler.wait(3)
    _eventually(lambda: _is_gone(client, name))

    assert len(handler.calls) == 3
    with pytest.raises(exceptions.AlreadyExists):
        _create(client, queue, task_id="hopeless")


def test_unlimited_attempts(client: Client, receiver: Receiver) -> None:
    """With max_attempts -1 a task comes again until it succeeds."""
    handler = receiver.handler(*[500] * 120)
    name = _create(client, _queue(client, attempts=-1, backoff=0.001), handler.url).name
    calls = handler.wait(121)
    _eventually(lambda: _is_gone(client, name))

    assert calls[-1].headers.get("X-CloudTasks-TaskRetryCount") == "120"


def test_retry_settings_of_a_task(client: Client, receiver: Receiver) -> None:
    """A task's own retry settings take the place of its queue's."""
    handler = receiver.handler(*[500] * 10)
    name = _create(
        client,
        _queue(client, backoff=300.0),
        handler.url,
        retry_config={
            "max_attempts": 2,
            "min_backoff": _seconds(0.01),
            "max_backoff": _seconds(0.01),
        },
    ).name
    _eventually(lambda: _is_gone(client, name))

    assert len(handler.calls) == 2


@pytest.mark.parametrize(
    ("status", "retry_after", "wait"),
    [(503, "120", 120), (429, "60", 60), (503, "1", 5), (500, "120", 5), (503, "soon", 5)],
)
def test_retry_after(
    client: Client,
    receiver: Receiver,
    status: int,
    retry_after: str,
    wait: int,
) -> None:
    """With 429 and 503, Retry-After lengthens the backoff of 5 s; it never shortens it."""
    handler = receiver.handler((status, {"Retry-After": retry_after}))
    name = _create(client, _queue(client, backoff=5.0), handler.url).name
    _eventually(lambda: client.get_task(name=name).response_count == 1)
    task = client.get_task(name=name)

    assert task.schedule_time - task.last_attempt.response_time == timedelta(seconds=wait)


def test_unreachable_handler(client: Client) -> None:
    """A handler that cannot be reached counts as an attempt without a response, and is retried."""
    with socket.socket() as unused:
        # Bound but not listening: connections are refused and nobody else gets the port.
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        name = _create(client, _queue(client, backoff=300.0), url).name
        _eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
    task = client.get_task(name=name)

    assert (task.dispatch_count, task.response_count) == (1, 0)
    assert task.last_attempt.response_status.code == 14
    assert "ConnectionRefusedError" in task.last_attempt.response_status.message
    assert task.schedule_time > datetime.now(UTC) + timedelta(minutes=4)


@pytest.mark.parametrize(
    "url", ["http://", "http://127.0.0.1:99999/", "http://[broken/", "http://127.0.0.1:1/%zz"]
)
def test_url_that_cannot_be_called_fails_the_attempt(client: Client, url: str) -> None:
    """Like the service, a URL is taken if it starts right; what is wrong with it fails attempts."""
    name = _create(client, _queue(client, backoff=300.0), url).name
    _eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)

    assert client.get_task(name=name).last_attempt.response_status.code == 14


def test_response_that_breaks_off_is_a_failure(client: Client) -> None:
    """A handler that dies in the middle of its 200 has not taken the task."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        name = _create(client, _queue(client, backoff=300.0), url).name
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        _eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
    task = client.get_task(name=name)

    assert (task.dispatch_count, task.response_count) == (1, 0)
    assert task.last_attempt.response_status.code == 14


def test_concurrency_is_limited(client: Client, receiver: Receiver) -> None:
    """No more tasks than max_concurrent_dispatches are under way, and the rest follow."""
    handler = receiver.handler(held=True)
    queue = _queue(client, max_concurrent_dispatches=3)
    for _ in range(12):
        _create(client, queue, handler.url)
    handler.wait(3)
    waiting = [task for task in client.list_tasks(parent=queue) if not task.dispatch_count]
    handler.gate.set()
    handler.wait(12)

    assert len(waiting) == 9
    assert handler.most_busy == 3


def test_tasks_run_in_parallel(client: Client, receiver: Receiver) -> None:
    """Twenty tasks are all with a slow handler at once, and a raised limit counts at once."""
    handler = receiver.handler(held=True)
    queue = _queue(client, max_concurrent_dispatches=5)
    for _ in range(20):
        _create(client, queue, handler.url)
    handler.wait(5)
    client.update_queue(queue={"name": queue, "rate_limits": {"max_concurrent_dispatches": 20}})
    handler.wait(20)
    busy = handler.most_busy
    handler.gate.set()
    _eventually(lambda: not list(client.list_tasks(parent=queue)))

    assert busy == 20


def test_rate_is_limited(client: Client, receiver: Receiver) -> None:
    """At 40 a second, a burst of 40 goes out at once and 20 more take half a second."""
    handler = receiver.handler()
    queue = _queue(client, paused=True, max_dispatches_per_second=40)
    for _ in range(60):
        _create(client, queue, handler.url)
    start = time.time()
    client.resume_queue(name=queue)
    calls = handler.wait(60)

    # The bucket also refills while the burst goes out: only the whole has a lower bound.
    assert calls[-1].at - start >= 0.49


def test_run_sends_now(client: Client, receiver: Receiver) -> None:
    """RunTask sends a task at once though its time is far and its queue paused, and only once."""
    handler = receiver.handler()
    queue = _queue(client, paused=True)
    name = _create(client, queue, handler.url, schedule_time=_time(time.time() + 3600)).name
    shown = client.run_task(name=name)
    handler.wait(1)
    _eventually(lambda: _is_gone(client, name))

    assert shown.dispatch_count == 1
    assert "dispatch_time" in shown.last_attempt
    assert "response_time" not in shown.last_attempt
    assert len(handler.calls) == 1


def test_run_of_a_running_task(client: Client, receiver: Receiver) -> None:
    """RunTask sends a task again while it is under way; the first success ends it for good."""
    handler = receiver.handler(200, 500, held=True)
    queue = _queue(client, max_concurrent_dispatches=1)
    name = _create(client, queue, handler.url).name
    handler.wait(1)
    client.run_task(name=name)
    calls = handler.wait(2)
    handler.gate.set()
    _eventually(lambda: _is_gone(client, name))
    # The queue is free for the next, which comes later than a retry would.
    last = receiver.handler()
    _create(client, queue, last.url, schedule_time=_time(time.time() + 0.1))
    last.wait(1)

    assert [call.headers.get("X-CloudTasks-TaskRetryCount") for call in calls] == ["0", "1"]
    assert len(handler.calls) == 2


def test_task_deleted_under_way_is_not_retried(client: Client, receiver: Receiver) -> None:
    """A failure of a task that was deleted meanwhile leads to nothing and frees its place."""
    handler, following = receiver.handler(500, held=True), receiver.handler()
    queue = _queue(client, backoff=0.001, max_concurrent_dispatches=1)
    name = _create(client, queue, handler.url).name
    handler.wait(1)
    client.delete_task(name=name)
    _create(client, queue, following.url)
    handler.gate.set()
    following.wait(1)
    # A retry would be due long before this one.
    _create(client, queue, following.url, schedule_time=_time(time.time() + 0.1))
    following.wait(2)

    assert len(handler.calls) == 1


# -- what only a look behind the client shows -------------------------------------------------


def _with_deadline(directory: Path, url: str, deadline: float) -> str:
    """Keep a queue and a task of a shorter deadline than the service accepts; give its name."""
    server = serve(data=directory)
    try:
        with _client(server.port) as client:
            name = _create(client, _queue(client, paused=True, backoff=300.0), url).name
    finally:
        server.stop()
    store = Store(directory)
    (queue,), (held,) = store.queues(), store.tasks()
    queue.state = RUNNING
    held.task.dispatch_deadline.CopyFrom(_seconds(deadline))
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
        with _client(server.port) as client:
            _eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
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
            with _client(server.port) as client:
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
                _eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
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
    with _client(first.port) as client:
        queue = _queue(client, max_concurrent_dispatches=7)
        name = _create(client, queue, handler.url, task_id="under-way").name
        handler.wait(1)
        client.pause_queue(name=queue)
        _create(client, queue, handler.url, task_id="deleted")
        client.delete_task(name=f"{queue}/tasks/deleted")
        before = client.get_queue(name=queue)
        deleted = _queue(client, paused=True)
        _create(client, deleted, handler.url)
        client.delete_queue(name=deleted)
    first.stop()
    second = serve(data=tmp_path)
    try:
        with _client(second.port) as client:
            after = client.get_queue(name=queue)
            with pytest.raises(exceptions.NotFound):
                client.get_queue(name=deleted)
            held_back = len(handler.calls)
            with pytest.raises(exceptions.AlreadyExists):
                _create(client, queue, handler.url, task_id="deleted")
            handler.gate.set()
            client.resume_queue(name=queue)
            calls = handler.wait(2)
            _eventually(lambda: _is_gone(client, name))
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
    with _program(tmp_path) as (process, port), _client(port) as client:
        queue, paused = _queue(client), _queue(client, paused=True)
        for number in range(50):
            _create(client, paused, f"{waiting.url}?{number}", http={"body": b"%d" % number})
        _create(client, queue, scheduled.url, schedule_time=_time(time.time() + 1.0))
        _create(client, queue, under_way.url)
        under_way.wait(1)
        process.kill()
        process.wait()
    under_way.gate.set()
    with _program(tmp_path) as (process, port), _client(port) as client:
        client.resume_queue(name=paused)
        calls = waiting.wait(50)
        scheduled.wait(1)
        again = under_way.wait(2)
        _eventually(lambda: not list(client.list_tasks(parent=queue)))
        _eventually(lambda: not list(client.list_tasks(parent=paused)))
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
