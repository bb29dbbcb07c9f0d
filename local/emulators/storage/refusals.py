"""Refusals of the service: statuses, reasons and their JSON."""

from __future__ import annotations

import json
from typing import Any


class Refusal(Exception):
    """An answer other than success, in Google's shape.

    https://cloud.google.com/storage/docs/json_api/v1/status-codes
    """

    def __init__(
        self, status: int, reason: str, message: str, *, location: tuple[str, str] | None = None
    ) -> None:
        """Make a refusal; `location` is the type and name of what was wrong in the request."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self._location = location

    def body(self) -> bytes:
        """Return the JSON document of the answer; empty if the status allows none."""
        if self.status == 304:
            return b""
        error: dict[str, Any] = {
            "message": self.message,
            "domain": "global",
            "reason": self.reason,
        }
        if self._location is not None:
            error["locationType"], error["location"] = self._location
        content = {"code": self.status, "message": self.message, "errors": [error]}
        return json.dumps({"error": content}).encode()


def invalid(message: str) -> Refusal:
    """Return the refusal of a value that is not valid."""
    return Refusal(400, "invalid", message)


def required(name: str) -> Refusal:
    """Return the refusal of a request without a required parameter."""
    return Refusal(400, "required", f"Required parameter: {name}", location=("parameter", name))


def no_route() -> Refusal:
    """Return the refusal of an unknown address."""
    return Refusal(404, "notFound", "Not Found")


def no_bucket() -> Refusal:
    """Return the refusal for a bucket that does not exist."""
    return Refusal(404, "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> Refusal:
    """Return the refusal for an object, or a generation of it, that does not exist."""
    return Refusal(404, "notFound", f"No such object: {bucket}/{name}")


def condition_not_met(header: str = "If-Match") -> Refusal:
    """Return the refusal for a precondition that does not hold."""
    return Refusal(
        412,
        "conditionNotMet",
        "At least one of the pre-conditions you specified did not hold.",
        location=("header", header),
    )


def not_modified() -> Refusal:
    """Return the answer to a reader who has the current version."""
    return Refusal(304, "notModified", "Not Modified")
