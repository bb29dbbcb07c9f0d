"""The function `sweep`: called by Cloud Scheduler, revives lost events, tasks and imports."""

from __future__ import annotations

import flask
import functions_framework

from shared.core import TryAgain, follow, log, take_over
from shared.sweeping import sweep as sweep_imports
from shared.web import answer
from shared.web.callers import guarded, scheduler_only
from shared.wiring import services

take_over()
functions_framework.errorhandler(Exception)(answer)


@functions_framework.http
@guarded(scheduler_only)
def sweep(request: flask.Request) -> tuple[dict[str, object], int]:
    """Sweep once. Answer 200 with counts of what was revived; 503 if the scheduler should retry."""
    follow(request.headers.get("X-Cloud-Trace-Context"), project=services().deployment.project)
    try:
        return sweep_imports(services()), 200
    except TryAgain as error:
        log("WARNING", f"The sweep must come back: {error}")
        return {"error": str(error)}, 503
