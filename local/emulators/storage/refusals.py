"""How the service says no: statuses, reasons and the JSON that carries them."""

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
        """The JSON document of the answer; nothing where the status allows none."""
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
    """The request has a value that cannot be."""
    return Refusal(400, "invalid", message)


def required(name: str) -> Refusal:
    """The request lacks a parameter."""
    return Refusal(400, "required", f"Required parameter: {name}", location=("parameter", name))


def no_route() -> Refusal:
    """There is nothing at this address."""
    return Refusal(404, "notFound", "Not Found")


def no_bucket() -> Refusal:
    """There is no such bucket."""
    return Refusal(404, "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> Refusal:
    """There is no such object, or not in the generation asked for."""
    return Refusal(404, "notFound", f"No such object: {bucket}/{name}")


def condition_not_met(header: str = "If-Match") -> Refusal:
    """A precondition does not hold."""
    return Refusal(
        412,
        "conditionNotMet",
        "At least one of the pre-conditions you specified did not hold.",
        location=("header", header),
    )


def not_modified() -> Refusal:
    """The object is still the one that the reader has."""
    return Refusal(304, "notModified", "Not Modified")
