"""The refusals of the Firestore API: which gRPC status stands for what, and in which words."""

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
        """The code as `google.rpc.Status` carries it."""
        return int(self.code.value[0])


def invalid(message: str) -> Refused:
    """The request could never be right, whatever is stored."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refused:
    """A document that has to exist does not."""
    return Refused(grpc.StatusCode.NOT_FOUND, message)


def already_exists(message: str) -> Refused:
    """A document that must not exist does."""
    return Refused(grpc.StatusCode.ALREADY_EXISTS, message)


def failed_precondition(message: str) -> Refused:
    """The request is well formed but the state of the database does not allow it."""
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> Refused:
    """The real service can do it, this one cannot."""
    return Refused(grpc.StatusCode.UNIMPLEMENTED, message)


def contention() -> Refused:
    """What a transaction has read was changed by somebody else; clients run it again."""
    return Refused(
        grpc.StatusCode.ABORTED, "Too much contention on these documents. Please try again."
    )
