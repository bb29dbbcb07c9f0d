"""The function `classify`: runs when a file has been uploaded to the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
import functions_framework

from shared.core import BadRequest, follow, log, take_over
from shared.gcp import read_event
from shared.scheduling import take_in_event
from shared.web import answer
from shared.wiring import services

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

take_over()
functions_framework.errorhandler(Exception)(answer)


@functions_framework.cloud_event
def classify(event: CloudEvent) -> None:
    """Record the uploaded object in the ledger, pair it and enqueue its task.

    An event that is malformed is logged and acknowledged: a retry cannot help.

    Raises:
        TryAgain: a service is unreachable. The error is answered 5xx, so that the event is
            delivered again.
    """
    trace = flask.request.headers.get("X-Cloud-Trace-Context")
    follow(trace, project=services().deployment.project)
    try:
        take_in_event(read_event(event.data, type=event["type"]), services())
    except BadRequest as error:
        log("ERROR", f"Not an event for this function: {error}")
