"""The page for people: what has come, what has become of it, and what is waited for."""

from __future__ import annotations

import flask
import functions_framework

from shared.answers import answer
from shared.callers import guarded, people
from shared.errors import TryAgain
from shared.logs import take_over
from shared.services import services
from shared.status_page import Filters, render

take_over()
functions_framework.errorhandler(Exception)(answer)


@functions_framework.http
@guarded(people, open_here=True)
def status(request: flask.Request) -> tuple[str, int, dict[str, str]]:
    """Answer with the page; `connection`, `type` and `status` in the query narrow it down."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    try:
        return render(Filters.read(request.args), services()), 200, headers
    except TryAgain as error:
        return f"<!doctype html><title>Imports</title><p>{error} Please reload.", 503, headers
