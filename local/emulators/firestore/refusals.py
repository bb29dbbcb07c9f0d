"""Refusals of the Firestore API: their gRPC statuses and messages."""

from __future__ import annotations

import grpc


class Refused(Exception):
    """A request, or one write of a batch, that the API answers with an error status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """Code as a number, as in `google.rpc.Status`."""
        return int(self.code.value[0])


def invalid(message: str) -> Refused:
    """Return the refusal of a request that is never valid, whatever is stored."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refused:
    """Return the refusal for a document that must exist and does not."""
    return Refused(grpc.StatusCode.NOT_FOUND, message)


def already_exists(message: str) -> Refused:
    """Return the refusal for a document that must not exist and does."""
    return Refused(grpc.StatusCode.ALREADY_EXISTS, message)


def failed_precondition(message: str) -> Refused:
    """Return the refusal of a valid request that the stored state does not allow."""
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> Refused:
    """Return the refusal of a feature that only the real service has."""
    return Refused(grpc.StatusCode.UNIMPLEMENTED, message)


def contention() -> Refused:
    """Return the refusal of a transaction whose reads others have changed; clients retry it."""
    return Refused(
        grpc.StatusCode.ABORTED, "Too much contention on these documents. Please try again."
    )
