"""The function `status`: pages for people about every file, its outcome, and what is expected."""

from __future__ import annotations

import os

import flask
import functions_framework

from shared.core import follow, take_over
from shared.status import routes
from shared.web import answer
from shared.web.callers import caller, guarded, people
from shared.wiring import services

take_over()
functions_framework.errorhandler(Exception)(answer)


@functions_framework.http
@guarded(people, open_here=True)
def status(request: flask.Request) -> flask.Response:
    """Return a page, or one of the reports; see `shared.status`."""
    follow(
        request.headers.get("X-Cloud-Trace-Context"),
        project=os.environ.get("GOOGLE_CLOUD_PROJECT", ""),
    )
    page = routes.answer(
        routes.Request(
            method=request.method,
            path=request.path,
            query=request.args,
            person=caller(),
        ),
        services,
    )
    return flask.Response(page.body, page.status, dict(page.headers))
