"""The storage trigger: a file has been uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import functions_framework
from werkzeug.exceptions import ServiceUnavailable

from shared.errors import BadRequest, TryAgain
from shared.events import read_event
from shared.intake import take_in
from shared.logs import log
from shared.services import services

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent


@functions_framework.cloud_event
def classify(event: CloudEvent) -> None:
    """Record the uploaded object, pair it and enqueue its task.

    What only a later attempt can mend is answered with 503, so that the event is delivered again;
    what no attempt can mend is logged and done with.
    """
    try:
        take_in(read_event(event.data), services())
    except BadRequest as error:
        log("ERROR", f"Not an event for this function: {error}")
    except TryAgain as error:
        log("WARNING", f"The event must come back: {error}")
        raise ServiceUnavailable from error
