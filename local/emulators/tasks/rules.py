"""Checks requests as Cloud Tasks does, fills in defaults, and words the refusals.

All functions are pure. The wording is the service's own if it is known, because people search for
it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf import field_mask_pb2

from local.emulators.tasks.messages import HttpMethod, Queue, Task, seconds, set_time

MAX_AHEAD = 30 * 24 * 3600.0
"""Seconds into the future that a task may be scheduled."""

MAX_TASK_BYTES = 2**20 - 7
"""Size of a task as it is kept, body, names and defaults included."""

MAX_URL = 2083
MAX_HEADER_BYTES = 80 * 1024

_LOCATION = r"projects/[A-Za-z0-9:.-]+/locations/[A-Za-z0-9-]+"
_LOCATION_NAME = re.compile(_LOCATION)
_QUEUE_NAME = re.compile(_LOCATION + r"/queues/[A-Za-z0-9-]{1,100}")
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_FieldMask: Any = field_mask_pb2.FieldMask

_WITH_BODY = {HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH}


class Refused(Exception):
    """A refused request. The caller gets `code` and the message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _invalid(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def _unserved(what: str) -> Refused:
    return Refused(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{what} not served by the local tasks server; it sends plain HTTP targets only.",
    )


def check_location(name: str) -> None:
    """Refuse a name that is not that of a location."""
    if not _LOCATION_NAME.fullmatch(name):
        raise _invalid("Invalid resource field value in the request.")


def check_queue_name(name: str) -> None:
    """Refuse a name that is not that of a queue."""
    if not _QUEUE_NAME.fullmatch(name):
        raise _invalid(
            'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>'
            '/queues/<QUEUE_ID>".'
        )


def check_task_name(name: str, *, queue: str | None = None) -> None:
    """Refuse a name that is not that of a task, or of a task of another queue than `queue`."""
    parent, slash, task_id = name.partition("/tasks/")
    if not slash or not _QUEUE_NAME.fullmatch(parent):
        raise _invalid(
            'Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>'
            '/queues/<QUEUE_ID>/tasks/<TASK_ID>"'
        )
    if queue is not None and parent != queue:
        raise _invalid(
            f"The queue name from request ('{queue}') must be the same as the queue name in the"
            f" named task ('{parent}')."
        )
    if not _TASK_ID.fullmatch(task_id):
        raise _invalid(
            f'Task ID "{task_id}" can contain only letters ([A-Za-z]), numbers ([0-9]),'
            " hyphens (-), or underscores (_). Task ID must between 1 and 500 characters."
        )


def settle_queue(queue: Any) -> None:
    """Check the configuration of a queue and fill in its defaults, in place."""
    if queue.HasField("http_target"):
        raise _unserved("Queue.http_target is")
    if queue.HasField("app_engine_routing_override"):
        raise _unserved("Queue.app_engine_routing_override is")

    limits = queue.rate_limits
    if limits.max_dispatches_per_second < 0:
        raise _invalid("RateLimits.maxDispatchesPerSecond cannot be negative.")
    if limits.max_dispatches_per_second > 500:
        raise _invalid("RateLimits.maxDispatchesPerSecond must be less than or equal to 500.")
    if limits.max_concurrent_dispatches < 0:
        raise _invalid("RateLimits.maxConcurrentDispatches cannot be negative.")
    if limits.max_concurrent_dispatches > 5000:
        raise _invalid("RateLimits.maxConcurrentDispatches must be less than or equal to 5000.")
    limits.max_dispatches_per_second = limits.max_dispatches_per_second or 500.0
    limits.max_concurrent_dispatches = limits.max_concurrent_dispatches or 1000
    # Output only. 100 goes with the default rate; the service does not document the others.
    limits.max_burst_size = round(min(max(limits.max_dispatches_per_second, 10.0), 100.0))

    settle_retry(queue.retry_config)


def settle_retry(retry: Any) -> None:
    """Check a `RetryConfig` and fill in its defaults, in place."""
    if retry.max_attempts < -1:
        raise _invalid("RetryConfig.maxAttempts must be greater or equal to -1.")
    if retry.max_doublings < 0:
        raise _invalid("RetryConfig.maxDoublings cannot be negative.")
    for field, name in (
        ("min_backoff", "minBackoff"),
        ("max_backoff", "maxBackoff"),
        ("max_retry_duration", "maxRetryDuration"),
    ):
        if seconds(getattr(retry, field)) < 0:
            raise _invalid(f"RetryConfig.{name} cannot be negative.")
    retry.max_attempts = retry.max_attempts or 100
    retry.max_doublings = retry.max_doublings or 16
    if not seconds(retry.min_backoff):
        retry.min_backoff.FromMilliseconds(100)
    if not seconds(retry.max_backoff):
        retry.max_backoff.FromSeconds(3600)
    if seconds(retry.min_backoff) > seconds(retry.max_backoff):
        raise _invalid(
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff."
        )


def changed_queue(old: Any | None, new: Any, paths: list[str]) -> Any:
    """Return `old` as changed by an update, or the new queue if `old` is None.

    Args:
        old: the queue as it is.
        new: the queue as it was sent, with its name.
        paths: the fields to take from `new`; all where empty. Output-only fields are ignored.
    """
    settable = {"rate_limits", "retry_config", "stackdriver_logging_config", "http_target"}
    settable.add("app_engine_routing_override")
    mask = _FieldMask(paths=paths or sorted(settable))
    if not mask.IsValidForDescriptor(Queue.DESCRIPTOR):
        raise _invalid(f"Invalid field in update_mask: {', '.join(paths)}.")
    kept = [path for path in mask.paths if path.partition(".")[0] in settable]

    queue = Queue(name=new.name)
    if old is not None:
        queue.CopyFrom(old)
    source = Queue()
    source.CopyFrom(new)
    for path in kept:
        # If the whole message is absent, a field of it that the mask names is cleared.
        head, dot, _ = path.partition(".")
        if dot:
            getattr(source, head).SetInParent()
        elif not source.HasField(head):
            queue.ClearField(head)
    _FieldMask(paths=kept).MergeMessage(source, queue, replace_message_field=True)
    settle_queue(queue)
    return queue


def new_task(sent: Any, *, queue: str, task_id: str, now: float) -> Any:
    """Return the task to keep for a task that was sent, checked and with its defaults.

    Output-only fields of `sent` are ignored. A schedule time in the past becomes `now`.

    Args:
        sent: the `Task` as it came.
        queue: full name of the queue it goes to.
        task_id: the id it gets where it names none.
        now: Unix seconds.
    """
    task = Task(name=sent.name or f"{queue}/tasks/{task_id}")
    check_task_name(task.name, queue=queue)
    if sent.HasField("app_engine_http_request"):
        raise _unserved("Task.app_engine_http_request is")
    if not sent.HasField("http_request"):
        raise _invalid("Task.httpRequest is required.")
    task.http_request.CopyFrom(sent.http_request)
    _settle_request(task.http_request)

    task.create_time.FromSeconds(int(now))
    if seconds(sent.schedule_time) - now > MAX_AHEAD:
        asked = datetime.fromtimestamp(sent.schedule_time.seconds, UTC).isoformat()
        raise _invalid(
            f"The Task.scheduleTime, {asked}, is too far in the future."
            " Schedule time must be no more than 720h in the future."
        )
    if seconds(sent.schedule_time) > now:
        task.schedule_time.FromMicroseconds(sent.schedule_time.ToMicroseconds())
    else:
        set_time(task.schedule_time, now)

    task.dispatch_deadline.FromSeconds(600)
    if sent.HasField("dispatch_deadline"):
        if not 15 <= seconds(sent.dispatch_deadline) <= 1800:
            raise _invalid("Task.dispatchDeadline must be between [15s, 30m].")
        task.dispatch_deadline.FromMilliseconds(sent.dispatch_deadline.ToMilliseconds())
    if sent.HasField("retry_config"):
        task.retry_config.CopyFrom(sent.retry_config)
        settle_retry(task.retry_config)
    if task.ByteSize() > MAX_TASK_BYTES:
        raise _invalid("Task size too large")
    return task


def _settle_request(request: Any) -> None:
    if not request.url:
        raise _invalid("HttpRequest.url is required.")
    if not request.url.startswith(("http://", "https://")):
        raise _invalid("HttpTarget.url must start with 'http://' or 'https://'.")
    if len(request.url) > MAX_URL:
        raise _invalid(f"HttpRequest.url must be no longer than {MAX_URL} characters.")
    request.http_method = request.http_method or HttpMethod.POST
    if request.body and request.http_method not in _WITH_BODY:
        raise _invalid("HttpRequest.body is allowed with POST, PUT and PATCH only.")
    for name, value in request.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise _invalid(f"HttpRequest.headers: {name!r} is not a valid header.")
    if sum(len(name) + len(value) for name, value in request.headers.items()) > MAX_HEADER_BYTES:
        raise _invalid("HttpRequest.headers must be less than 80KB.")
    if request.HasField("oauth_token"):
        raise _unserved("HttpRequest.oauth_token is")
    if request.HasField("oidc_token") and not request.oidc_token.service_account_email:
        raise _invalid("OidcToken.serviceAccountEmail is required.")
    for name in [name for name in request.headers if name.lower() == "user-agent"]:
        del request.headers[name]
    request.headers["User-Agent"] = "Google-Cloud-Tasks"
