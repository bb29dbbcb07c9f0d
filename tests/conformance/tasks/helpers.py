"""Helpers of the tests of the tasks server."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.protobuf import duration_pb2, timestamp_pb2

from tests.support.receiver import SOON

Client = Any
"""A CloudTasksClient. It takes dictionaries too, which its annotations leave out."""

LOCATION = "projects/local-project/locations/australia-southeast1"
ACCOUNT = "tasks@local-project.iam.gserviceaccount.com"

PAUSED = tasks_v2.Queue.State.PAUSED
RUNNING = tasks_v2.Queue.State.RUNNING

_numbers = itertools.count(1)


@contextlib.contextmanager
def connected(port: int) -> Iterator[Client]:
    """Connect a client to a server."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


def seconds(value: float) -> duration_pb2.Duration:
    """Turn seconds into a Duration of the client."""
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(value * 1e9))
    return duration


def timestamp(unix_seconds: float) -> timestamp_pb2.Timestamp:
    """Turn Unix seconds into a Timestamp of the client."""
    moment = timestamp_pb2.Timestamp()
    moment.FromMicroseconds(round(unix_seconds * 1e6))
    return moment


def make_queue(
    client: Client,
    *,
    paused: bool = False,
    backoff: float | tuple[float, float] = 0.02,
    attempts: int = 100,
    **limits: Any,
) -> str:
    """Make a queue for one test and return its name."""
    least, most = backoff if isinstance(backoff, tuple) else (backoff, backoff)
    name = f"{LOCATION}/queues/q{next(_numbers)}"
    client.create_queue(
        parent=LOCATION,
        queue={
            "name": name,
            "rate_limits": limits,
            "retry_config": {
                "max_attempts": attempts,
                "min_backoff": seconds(least),
                "max_backoff": seconds(most),
            },
        },
    )
    if paused:
        client.pause_queue(name=name)
    return name


def create_task(
    client: Client,
    queue: str,
    url: str = "http://127.0.0.1:1/",
    *,
    task_id: str | None = None,
    http: Mapping[str, Any] | None = None,
    **task: Any,
) -> tasks_v2.Task:
    """Create a task."""
    if task_id is not None:
        task["name"] = f"{queue}/tasks/{task_id}"
    created: tasks_v2.Task = client.create_task(
        parent=queue, task={"http_request": {"url": url, **(http or {})}, **task}
    )
    return created


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what only another process or the service itself can tell."""
    give_up = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.005)


def is_gone(client: Client, name: str) -> bool:
    """Whether a task is unknown."""
    try:
        client.get_task(name=name)
    except exceptions.NotFound:
        return True
    return False
