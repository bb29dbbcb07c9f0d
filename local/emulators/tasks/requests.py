"""Makes the request that the handler of a task receives: headers, token and body."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from local.emulators.tasks.attempt import Request
from local.emulators.tasks.messages import HttpMethod
from local.emulators.tasks.store import Held

Mint = Callable[[str, str, datetime], str]
"""Function that makes an OpenID Connect token: audience, e-mail of the account, now -> token."""

_RESERVED = ("x-cloudtasks-", "x-google-", "x-appengine-")
_COMPUTED = {"host", "content-length", "connection", "transfer-encoding"}


def request_of(held: Held, *, mint: Mint, now: datetime) -> Request:
    """Return the request of an attempt that is already counted in the task.

    Headers that Cloud Tasks sets replace the task's own, whatever their capitals.
    """
    task, http = held.task, held.task.http_request
    queue, _, task_id = task.name.partition("/tasks/")
    eta = task.schedule_time
    own = {
        "X-CloudTasks-QueueName": queue.rpartition("/")[2],
        "X-CloudTasks-TaskName": task_id,
        "X-CloudTasks-TaskRetryCount": str(task.dispatch_count - 1),
        "X-CloudTasks-TaskExecutionCount": str(held.executions),
        "X-CloudTasks-TaskETA": f"{eta.seconds}.{eta.nanos // 1000:06d}",
    }
    if held.previous is not None:
        own["X-CloudTasks-TaskPreviousResponse"] = str(held.previous)
        # Cloud Tasks sends it empty to HTTP targets, whatever the reason was.
        own["X-CloudTasks-TaskRetryReason"] = ""
    if http.HasField("oidc_token"):
        audience = http.oidc_token.audience or http.url
        token = mint(audience, http.oidc_token.service_account_email, now)
        own["Authorization"] = f"Bearer {token}"
    replaced = _COMPUTED | {name.lower() for name in own}
    given = [
        (name, value)
        for name, value in http.headers.items()
        if name.lower() not in replaced and not name.lower().startswith(_RESERVED)
    ]
    return Request(
        method=HttpMethod(http.http_method).name,
        url=http.url,
        headers=[*given, *own.items()],
        body=http.body,
    )
