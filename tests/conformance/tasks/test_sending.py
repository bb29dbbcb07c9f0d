"""How the local tasks server sends tasks, with a real HTTP server as handler."""

from __future__ import annotations

import itertools
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from local.emulators.tasks import Server
from tests.conformance.tasks.helpers import (
    ACCOUNT,
    Client,
    create_task,
    eventually,
    is_gone,
    make_queue,
    seconds,
    timestamp,
)
from tests.support.receiver import Receiver


def test_request(client: Client, receiver: Receiver) -> None:
    """The handler gets method, path, query, headers and body as asked, and who it is from."""
    handler = receiver.handler()
    queue = make_queue(client)
    task = create_task(
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
    name = create_task(client, make_queue(client), handler.url, http={"http_method": method}).name
    (call,) = handler.wait(1)
    eventually(lambda: is_gone(client, name))

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
    create_task(
        client, make_queue(client), handler.url, http={"headers": headers, "oidc_token": token}
    )
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
    create_task(client, make_queue(client), handler.url, http={"oidc_token": token})
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
    queue = make_queue(client)
    create_task(client, queue, f"{handler.url}?later", schedule_time=timestamp(time.time() + 3600))
    create_task(client, queue, f"{handler.url}?now")

    assert [call.path.partition("?")[2] for call in handler.wait(1)] == ["now"]


def test_scheduled_task_goes_out_on_time(client: Client, receiver: Receiver) -> None:
    """Tasks go out in the order of their times, never before them."""
    handler = receiver.handler()
    queue = make_queue(client, paused=True, max_concurrent_dispatches=1)
    start = time.time() + 0.15
    # The last first: the order of creation is not that of the times.
    for number in reversed(range(5)):
        url = f"{handler.url}?{number}"
        create_task(client, queue, url, schedule_time=timestamp(start + number * 0.05))
    client.resume_queue(name=queue)
    calls = handler.wait(5)
    late = [call.at - (start + number * 0.05) for number, call in enumerate(calls)]

    assert [call.path[-1] for call in calls] == list("01234")
    assert min(late) >= -0.0001


def test_retries(client: Client, receiver: Receiver) -> None:
    """A failing task comes again after each backoff; its headers tell what has been before."""
    handler = receiver.handler(500, 404, 429, 503, 302)
    queue = make_queue(client, backoff=(0.05, 0.1))
    name = create_task(client, queue, handler.url).name
    calls = handler.wait(6)
    eventually(lambda: is_gone(client, name))
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
    queue = make_queue(client, backoff=300.0)
    created = create_task(client, queue, handler.url)
    eventually(lambda: client.get_task(name=created.name).response_count == 1)
    once = client.get_task(name=created.name)
    client.run_task(name=created.name)
    eventually(lambda: client.get_task(name=created.name).response_count == 2)
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
    queue = make_queue(client, attempts=3)
    name = create_task(client, queue, handler.url, task_id="hopeless").name
    handler.wait(3)
    eventually(lambda: is_gone(client, name))

    assert len(handler.calls) == 3
    with pytest.raises(exceptions.AlreadyExists):
        create_task(client, queue, task_id="hopeless")


def test_unlimited_attempts(client: Client, receiver: Receiver) -> None:
    """With max_attempts -1 a task comes again until it succeeds."""
    handler = receiver.handler(*[500] * 120)
    name = create_task(client, make_queue(client, attempts=-1, backoff=0.001), handler.url).name
    calls = handler.wait(121)
    eventually(lambda: is_gone(client, name))

    assert calls[-1].headers.get("X-CloudTasks-TaskRetryCount") == "120"


def test_retry_settings_of_a_task(client: Client, receiver: Receiver) -> None:
    """A task's own retry settings take the place of its queue's."""
    handler = receiver.handler(*[500] * 10)
    name = create_task(
        client,
        make_queue(client, backoff=300.0),
        handler.url,
        retry_config={
            "max_attempts": 2,
            "min_backoff": seconds(0.01),
            "max_backoff": seconds(0.01),
        },
    ).name
    eventually(lambda: is_gone(client, name))

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
    name = create_task(client, make_queue(client, backoff=5.0), handler.url).name
    eventually(lambda: client.get_task(name=name).response_count == 1)
    task = client.get_task(name=name)

    assert task.schedule_time - task.last_attempt.response_time == timedelta(seconds=wait)


def test_unreachable_handler(client: Client) -> None:
    """A handler that cannot be reached counts as an attempt without a response, and is retried."""
    with socket.socket() as unused:
        # Bound but not listening: connections are refused and nobody else gets the port.
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        name = create_task(client, make_queue(client, backoff=300.0), url).name
        eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
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
    name = create_task(client, make_queue(client, backoff=300.0), url).name
    eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)

    assert client.get_task(name=name).last_attempt.response_status.code == 14


def test_response_that_breaks_off_is_a_failure(client: Client) -> None:
    """A handler that dies in the middle of its 200 has not taken the task."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        name = create_task(client, make_queue(client, backoff=300.0), url).name
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        eventually(lambda: "response_time" in client.get_task(name=name).last_attempt)
    task = client.get_task(name=name)

    assert (task.dispatch_count, task.response_count) == (1, 0)
    assert task.last_attempt.response_status.code == 14


def test_concurrency_is_limited(client: Client, receiver: Receiver) -> None:
    """No more tasks than max_concurrent_dispatches are under way, and the rest follow."""
    handler = receiver.handler(held=True)
    queue = make_queue(client, max_concurrent_dispatches=3)
    for _ in range(12):
        create_task(client, queue, handler.url)
    handler.wait(3)
    waiting = [task for task in client.list_tasks(parent=queue) if not task.dispatch_count]
    handler.gate.set()
    handler.wait(12)

    assert len(waiting) == 9
    assert handler.most_busy == 3


def test_tasks_run_in_parallel(client: Client, receiver: Receiver) -> None:
    """Twenty tasks are all with a slow handler at once, and a raised limit counts at once."""
    handler = receiver.handler(held=True)
    queue = make_queue(client, max_concurrent_dispatches=5)
    for _ in range(20):
        create_task(client, queue, handler.url)
    handler.wait(5)
    client.update_queue(queue={"name": queue, "rate_limits": {"max_concurrent_dispatches": 20}})
    handler.wait(20)
    busy = handler.most_busy
    handler.gate.set()
    eventually(lambda: not list(client.list_tasks(parent=queue)))

    assert busy == 20


def test_rate_is_limited(client: Client, receiver: Receiver) -> None:
    """At 40 a second, a burst of 40 goes out at once and 20 more take half a second."""
    handler = receiver.handler()
    queue = make_queue(client, paused=True, max_dispatches_per_second=40)
    for _ in range(60):
        create_task(client, queue, handler.url)
    start = time.time()
    client.resume_queue(name=queue)
    calls = handler.wait(60)

    # The bucket also refills while the burst goes out: only the whole has a lower bound.
    assert calls[-1].at - start >= 0.49


def test_run_sends_now(client: Client, receiver: Receiver) -> None:
    """RunTask sends a task at once though its time is far and its queue paused, and only once."""
    handler = receiver.handler()
    queue = make_queue(client, paused=True)
    name = create_task(client, queue, handler.url, schedule_time=timestamp(time.time() + 3600)).name
    shown = client.run_task(name=name)
    handler.wait(1)
    eventually(lambda: is_gone(client, name))

    assert shown.dispatch_count == 1
    assert "dispatch_time" in shown.last_attempt
    assert "response_time" not in shown.last_attempt
    assert len(handler.calls) == 1


def test_run_of_a_running_task(client: Client, receiver: Receiver) -> None:
    """RunTask sends a task again while it is under way; the first success ends it for good."""
    handler = receiver.handler(200, 500, held=True)
    queue = make_queue(client, max_concurrent_dispatches=1)
    name = create_task(client, queue, handler.url).name
    handler.wait(1)
    client.run_task(name=name)
    calls = handler.wait(2)
    handler.gate.set()
    eventually(lambda: is_gone(client, name))
    # The queue is free for the next, which comes later than a retry would.
    last = receiver.handler()
    create_task(client, queue, last.url, schedule_time=timestamp(time.time() + 0.1))
    last.wait(1)

    assert [call.headers.get("X-CloudTasks-TaskRetryCount") for call in calls] == ["0", "1"]
    assert len(handler.calls) == 2


def test_task_deleted_under_way_is_not_retried(client: Client, receiver: Receiver) -> None:
    """A failure of a task that was deleted meanwhile leads to nothing and frees its place."""
    handler, following = receiver.handler(500, held=True), receiver.handler()
    queue = make_queue(client, backoff=0.001, max_concurrent_dispatches=1)
    name = create_task(client, queue, handler.url).name
    handler.wait(1)
    client.delete_task(name=name)
    create_task(client, queue, following.url)
    handler.gate.set()
    following.wait(1)
    # A retry would be due long before this one.
    create_task(client, queue, following.url, schedule_time=timestamp(time.time() + 0.1))
    following.wait(2)

    assert len(handler.calls) == 1
