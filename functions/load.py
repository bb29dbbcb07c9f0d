"""The function `load`: runs one task of the queue, which loads one import."""

from __future__ import annotations

import flask
import functions_framework

from shared.core import BadRequest, TryAgain, follow, log, take_over
from shared.ledger import LoadTask
from shared.loading import work
from shared.web import answer, read_body
from shared.web.callers import guarded, tasks_only
from shared.wiring import services

take_over()
functions_framework.errorhandler(Exception)(answer)


@functions_framework.http
@guarded(tasks_only)
def load(request: flask.Request) -> tuple[dict[str, str], int]:
    """Run one task. Answer 200: done. 503: retry. 400: not a task.

    A malformed task from the queue is answered 200: the queue retries everything else, and a retry
    cannot help. The header `X-CloudTasks-TaskName` marks a request from the queue.
    """
    follow(request.headers.get("X-Cloud-Trace-Context"), project=services().deployment.project)
    try:
        task = LoadTask.parse(read_body(request))
    except BadRequest as error:
        log("ERROR", f"Not a task of ours: {error}")
        return {"error": str(error)}, 200 if "X-CloudTasks-TaskName" in request.headers else 400
    try:
        return {"result": work(task, services())}, 200
    except TryAgain as error:
        log("WARNING", f"The task must come back: {error}", importId=task.import_id)
        return {"error": str(error)}, 503
