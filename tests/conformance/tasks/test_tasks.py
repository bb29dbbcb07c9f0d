"""Tasks of the local tasks server, through the unmodified client."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2

from local.emulators.tasks import serve
from tests.conformance.tasks.helpers import (
    ACCOUNT,
    LOCATION,
    Client,
    connected,
    create_task,
    eventually,
    is_gone,
    make_queue,
    seconds,
    timestamp,
)
from tests.support.receiver import Receiver

FULL = tasks_v2.Task.View.FULL


def test_task_defaults(client: Client) -> None:
    """A task gets an id of digits, the present as its time, 10 minutes, POST and its user agent."""
    queue = make_queue(client, paused=True)
    before = datetime.now(UTC)
    task = create_task(client, queue, "https://example.test/load")

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
    task = create_task(
        client,
        make_queue(client),
        task_id="Kept_id-1",
        http={
            "http_method": tasks_v2.HttpMethod.PUT,
            "headers": {"content-type": "text/csv", "user-agent": "mine"},
            "oidc_token": {"service_account_email": ACCOUNT, "audience": "aud"},
        },
        schedule_time=timestamp(when),
        dispatch_deadline=seconds(15),
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
    queue = make_queue(client, paused=True)
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
    task = create_task(
        client, make_queue(client, paused=True), schedule_time=timestamp(before - 86400)
    )

    assert before - 0.001 <= task.schedule_time.timestamp() <= time.time() + 0.001


def test_waiting_name_is_refused(client: Client) -> None:
    """The name of a task that waits is ALREADY_EXISTS, in the service's words."""
    queue = make_queue(client, paused=True)
    create_task(client, queue, task_id="once")

    with pytest.raises(exceptions.AlreadyExists) as refused:
        create_task(client, queue, task_id="once")
    assert refused.value.message == "Requested entity already exists"


def test_executed_task(client: Client, receiver: Receiver) -> None:
    """A task that has succeeded is NOT_FOUND, and its name stays refused."""
    handler = receiver.handler()
    queue = make_queue(client)
    name = create_task(client, queue, handler.url, task_id="done").name
    handler.wait(1)
    eventually(lambda: is_gone(client, name))

    for method in (client.get_task, client.delete_task, client.run_task):
        with pytest.raises(exceptions.NotFound, match="either successfully completed or was del"):
            method(name=name)
    with pytest.raises(exceptions.AlreadyExists):
        create_task(client, queue, handler.url, task_id="done")


def test_deleted_task(client: Client, receiver: Receiver) -> None:
    """A deleted task is not sent, is NOT_FOUND, and its name stays refused."""
    deleted, sent = receiver.handler(), receiver.handler()
    queue = make_queue(client, paused=True)
    name = create_task(client, queue, deleted.url, task_id="deleted").name
    create_task(client, queue, sent.url)
    client.delete_task(name=name)
    client.resume_queue(name=queue)
    sent.wait(1)

    assert deleted.calls == []
    with pytest.raises(exceptions.NotFound):
        client.delete_task(name=name)
    with pytest.raises(exceptions.AlreadyExists):
        create_task(client, queue, task_id="deleted")


def test_name_is_free_again_when_its_tombstone_has_gone(receiver: Receiver, tmp_path: Path) -> None:
    """With tombstones of no duration a name may be used again as soon as its task is gone."""
    server = serve(data=tmp_path, tombstone_seconds=0)
    handler = receiver.handler()
    try:
        with connected(server.port) as client:
            queue = make_queue(client)
            for count in (1, 2):
                name = create_task(client, queue, handler.url, task_id="again").name
                handler.wait(count)
                eventually(lambda name=name: is_gone(client, name))  # type: ignore[misc]
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
        create_task(client, queue)
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.list_tasks(parent=queue)


def test_unknown_task(client: Client) -> None:
    """A task that never was is NOT_FOUND to get, delete and run."""
    name = f"{make_queue(client)}/tasks/never"

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
        create_task(client, make_queue(client, paused=True), task_id=task_id)


def test_longest_task_id(client: Client) -> None:
    """A task id of 500 characters is taken."""
    task = create_task(client, make_queue(client, paused=True), task_id="x" * 500)

    assert task.name.endswith("/" + "x" * 500)


def test_task_name_of_another_queue_is_refused(client: Client) -> None:
    """A task's full name must lie in the queue that it is created in."""
    queue, other = make_queue(client), make_queue(client)

    with pytest.raises(exceptions.InvalidArgument, match="must be the same as the queue name"):
        create_task(client, queue, name=f"{other}/tasks/mine")
    with pytest.raises(exceptions.InvalidArgument, match="Task name must be formatted"):
        create_task(client, queue, name="mine")


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
    queue = make_queue(client, paused=True)

    with pytest.raises(exceptions.InvalidArgument, match=message):
        client.create_task(parent=queue, task=task)
    assert list(client.list_tasks(parent=queue)) == []


def test_task_is_scheduled_no_more_than_30_days_ahead(client: Client) -> None:
    """30 days less a minute is taken, a minute more refused."""
    queue = make_queue(client)
    limit = time.time() + 30 * 86400
    create_task(client, queue, schedule_time=timestamp(limit - 60))

    with pytest.raises(exceptions.InvalidArgument, match="no more than 720h in the future"):
        create_task(client, queue, schedule_time=timestamp(limit + 60))


def test_task_is_no_larger_than_a_mebibyte(client: Client) -> None:
    """A whole task a little under 1 MiB is taken, one of 1 MiB of body refused."""
    queue = make_queue(client, paused=True)
    create_task(client, queue, http={"body": b"x" * (2**20 - 1024)})

    with pytest.raises(exceptions.InvalidArgument) as refused:
        create_task(client, queue, http={"body": b"x" * 2**20})
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
        client.create_task(parent=make_queue(client), task=task)


def test_tasks_are_listed_in_pages(client: Client) -> None:
    """Every task of a queue, and only those, is listed once over as many pages as it takes."""
    queue, other = make_queue(client, paused=True), make_queue(client, paused=True)
    names = {create_task(client, queue, task_id=f"t{number}").name for number in range(7)}
    create_task(client, other, task_id="t0")
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
        client.list_tasks(request={"parent": make_queue(client), **request_part})
