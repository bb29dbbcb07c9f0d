"""Maps the methods of the CloudTasks gRPC service to the queues."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from local.emulators.tasks import rules
from local.emulators.tasks.messages import (
    BASIC,
    FULL,
    PAUSED,
    REQUESTS,
    RUNNING,
    Empty,
    ListQueuesResponse,
    ListTasksResponse,
    Task,
)
from local.emulators.tasks.queues import Queues
from local.emulators.tasks.rules import Refused

log = logging.getLogger("local.emulators.tasks")

SERVICE = "google.cloud.tasks.v2.CloudTasks"

_MOST_QUEUES = 9800
_MOST_TASKS = 1000


def handler(queues: Queues) -> Any:
    """Return the gRPC handler for the queues. Methods not served are UNIMPLEMENTED."""
    methods = _Methods(queues)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _answer(getattr(methods, name)),
                request_deserializer=message.FromString,
                response_serializer=_serialize,
            )
            for name, message in REQUESTS.items()
        },
    )


def _answer(method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        except Exception:
            log.exception("%s failed", method.__name__)
            context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log has it.")

    return answer


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


class _Methods:
    """One method per method of the service, with the same name: request in, response out."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def ListQueues(self, request: Any) -> Any:
        rules.check_location(request.parent)
        if request.filter:
            raise Refused(
                grpc.StatusCode.UNIMPLEMENTED,
                "ListQueuesRequest.filter is not served by the local tasks server.",
            )
        size = _page_size(request.page_size, most=_MOST_QUEUES)
        found = self._queues.queues_after(
            _read_token(request.page_token), location=request.parent, limit=size + 1
        )
        return ListQueuesResponse(queues=found[:size], next_page_token=_next_token(found, size))

    def GetQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.name)
        return self._queues.queue(request.name)

    def CreateQueue(self, request: Any) -> Any:
        rules.check_location(request.parent)
        rules.check_queue_name(request.queue.name)
        if not request.queue.name.startswith(f"{request.parent}/queues/"):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{request.queue.name} must begin with {request.parent}.",
            )
        return self._queues.create_queue(request.queue)

    def UpdateQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.queue.name)
        return self._queues.update_queue(request.queue, list(request.update_mask.paths))

    def DeleteQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.name)
        self._queues.delete_queue(request.name)
        return Empty()

    def PurgeQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.name)
        return self._queues.purge_queue(request.name)

    def PauseQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.name)
        return self._queues.set_state(request.name, PAUSED)

    def ResumeQueue(self, request: Any) -> Any:
        rules.check_queue_name(request.name)
        return self._queues.set_state(request.name, RUNNING)

    def ListTasks(self, request: Any) -> Any:
        rules.check_queue_name(request.parent)
        size = _page_size(request.page_size, most=_MOST_TASKS)
        found = self._queues.tasks_after(
            _read_token(request.page_token), queue=request.parent, limit=size + 1
        )
        return ListTasksResponse(
            tasks=[_view(task, request.response_view) for task in found[:size]],
            next_page_token=_next_token(found, size),
        )

    def GetTask(self, request: Any) -> Any:
        rules.check_task_name(request.name)
        return _view(self._queues.task(request.name), request.response_view)

    def CreateTask(self, request: Any) -> Any:
        rules.check_queue_name(request.parent)
        task = self._queues.create_task(request.task, queue=request.parent)
        return _view(task, request.response_view)

    def DeleteTask(self, request: Any) -> Any:
        rules.check_task_name(request.name)
        self._queues.delete_task(request.name)
        return Empty()

    def RunTask(self, request: Any) -> Any:
        rules.check_task_name(request.name)
        return _view(self._queues.run_task(request.name), request.response_view)


def _view(task: Any, view: int) -> Any:
    """Return the task in a view. BASIC, the default, leaves the body out."""
    shown = Task()
    shown.CopyFrom(task)
    shown.view = FULL if view == FULL else BASIC
    if shown.view == BASIC:
        shown.http_request.ClearField("body")
    return shown


def _page_size(asked: int, *, most: int) -> int:
    if asked < 0:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "Page size cannot be negative.")
    return min(asked or most, most)


def _next_token(found: Sequence[Any], size: int) -> str:
    """Return the token of the page after the first `size` of `found`; empty if there is none."""
    if len(found) <= size:
        return ""
    return base64.urlsafe_b64encode(found[size - 1].name.encode()).decode()


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "Invalid page token.") from None
