"""The plain protobuf classes of Cloud Tasks v2, without the wrappers that its client adds."""

from __future__ import annotations

from typing import Any

from google.cloud.tasks_v2 import types
from google.protobuf import empty_pb2

Queue: Any = types.Queue.pb()
Task: Any = types.Task.pb()
HttpMethod: Any = types.HttpMethod
Empty: Any = empty_pb2.Empty

ListQueuesResponse: Any = types.ListQueuesResponse.pb()
ListTasksResponse: Any = types.ListTasksResponse.pb()

REQUESTS: dict[str, Any] = {
    "ListQueues": types.ListQueuesRequest.pb(),
    "GetQueue": types.GetQueueRequest.pb(),
    "CreateQueue": types.CreateQueueRequest.pb(),
    "UpdateQueue": types.UpdateQueueRequest.pb(),
    "DeleteQueue": types.DeleteQueueRequest.pb(),
    "PurgeQueue": types.PurgeQueueRequest.pb(),
    "PauseQueue": types.PauseQueueRequest.pb(),
    "ResumeQueue": types.ResumeQueueRequest.pb(),
    "ListTasks": types.ListTasksRequest.pb(),
    "GetTask": types.GetTaskRequest.pb(),
    "CreateTask": types.CreateTaskRequest.pb(),
    "DeleteTask": types.DeleteTaskRequest.pb(),
    "RunTask": types.RunTaskRequest.pb(),
}
"""The request of every method that is served."""

RUNNING: int = int(types.Queue.State.RUNNING)
PAUSED: int = int(types.Queue.State.PAUSED)
BASIC: int = int(types.Task.View.BASIC)
FULL: int = int(types.Task.View.FULL)


def seconds(value: Any) -> float:
    """Return a Timestamp or a Duration in seconds, to the microsecond."""
    return float(value.seconds) + float(value.nanos // 1000) / 1e6


def set_time(field: Any, when: float) -> None:
    """Set a Timestamp field to Unix seconds, to the microsecond as Cloud Tasks does."""
    field.FromMicroseconds(round(when * 1e6))
