"""Queues of the local tasks server, through the unmodified client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf import field_mask_pb2

from tests.conformance.tasks.helpers import (
    LOCATION,
    PAUSED,
    RUNNING,
    Client,
    create_task,
    make_queue,
    seconds,
)
from tests.support.receiver import SOON, Receiver


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
                "max_retry_duration": seconds(7200),
                "min_backoff": seconds(10),
                "max_backoff": seconds(300),
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
    name = make_queue(client)

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
    name = make_queue(client, backoff=(1.0, 8.0), attempts=7, max_concurrent_dispatches=4)
    queue = client.update_queue(
        queue={
            "name": name,
            "rate_limits": {"max_dispatches_per_second": 50},
            "retry_config": {"max_backoff": seconds(9), "max_doublings": 2},
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
    name = make_queue(client, backoff=(1.0, 8.0), attempts=7, max_concurrent_dispatches=4)
    paths = ["retry_config.max_attempts", "rate_limits"]
    queue = client.update_queue(
        queue={"name": name}, update_mask=field_mask_pb2.FieldMask(paths=paths)
    )

    assert queue.retry_config.max_attempts == 100
    assert queue.retry_config.min_backoff == timedelta(seconds=1)
    assert queue.rate_limits.max_concurrent_dispatches == 1000


def test_queue_update_without_a_mask(client: Client) -> None:
    """An update without a mask replaces every setting and leaves the state as it is."""
    name = make_queue(client, paused=True, attempts=7, max_concurrent_dispatches=4)
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
            queue={"name": make_queue(client)},
            update_mask=field_mask_pb2.FieldMask(paths=["retry_config.patience"]),
        )


def test_paused_queue_sends_nothing_until_resumed(client: Client, receiver: Receiver) -> None:
    """A paused queue takes tasks and keeps them; resumed, it sends them in their order."""
    handler = receiver.handler()
    queue = make_queue(client, max_concurrent_dispatches=1)
    paused = client.pause_queue(name=queue)
    for number in range(3):
        create_task(client, queue, f"{handler.url}?{number}")
    # Another queue's task, made later, has come: theirs would have.
    other = receiver.handler()
    create_task(client, make_queue(client), other.url)
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
    queue = make_queue(client, paused=True)
    for number in range(5):
        create_task(client, queue, f"{handler.url}?{number}")
    before = datetime.now(UTC)
    purged = client.purge_queue(name=queue)
    client.resume_queue(name=queue)
    create_task(client, queue, f"{handler.url}?after")
    calls = handler.wait(1)

    assert abs(purged.purge_time - before) < timedelta(seconds=SOON)
    assert [call.path.partition("?")[2] for call in calls] == ["after"]


def test_deleted_queue(client: Client, receiver: Receiver) -> None:
    """A deleted queue is gone with its tasks, and its name may not be used again at once."""
    queue = make_queue(client, paused=True)
    task = create_task(client, queue, receiver.handler().url)
    client.delete_queue(name=queue)

    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.get_queue(name=queue)
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        create_task(client, queue)
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=task.name)
    with pytest.raises(exceptions.FailedPrecondition, match="existed too recently"):
        client.create_queue(parent=LOCATION, queue={"name": queue})
    with pytest.raises(exceptions.FailedPrecondition, match="existed too recently"):
        client.update_queue(queue={"name": queue})
