"""Cloud Tasks: the queue whose tasks are posted to the load function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.core import TryAgain

if TYPE_CHECKING:
    from google.cloud import tasks_v2


DISPATCH_DEADLINE_SECONDS = 1_800
"""Seconds that Cloud Tasks waits for the worker's answer: the longest time it allows."""


class Task(Protocol):
    """A task as the queue sees it."""

    @property
    def task_id(self) -> str:
        """Id of the task, never used twice."""

    def body(self) -> bytes:
        """Return the JSON that is posted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudQueue:
    """The Cloud Tasks queue whose tasks are posted to the load function."""

    client: tasks_v2.CloudTasksClient
    name: str
    """Full name, `projects/{project}/locations/{location}/queues/{queue}`."""
    url: str
    """URL of the load function; also the audience of the tasks' tokens."""
    service_account: str
    """E-mail of the service account that the tasks' tokens name."""

    def create(self, task: Task, *, at: datetime) -> None:
        """Make sure the task exists, or has existed, and starts no earlier than `at`."""
        # Not before a task is to be created: whoever only names one need not wait for the library.
        from google.api_core import exceptions
        from google.cloud import tasks_v2
        from google.protobuf import duration_pb2, timestamp_pb2

        schedule_time = timestamp_pb2.Timestamp()
        schedule_time.FromDatetime(at)
        request: Any = {
            "name": f"{self.name}/tasks/{task.task_id}",
            "schedule_time": schedule_time,
            "dispatch_deadline": duration_pb2.Duration(seconds=DISPATCH_DEADLINE_SECONDS),
            "http_request": {
                "http_method": tasks_v2.HttpMethod.POST,
                "url": self.url,
                "headers": {"Content-Type": "application/json"},
                "body": task.body(),
                "oidc_token": {
                    "service_account_email": self.service_account,
                    "audience": self.url,
                },
            },
        }
        try:
            self.client.create_task(parent=self.name, task=request)
        except exceptions.AlreadyExists:
            return
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise TryAgain(f"The task could not be enqueued: {type(error).__name__}") from error
