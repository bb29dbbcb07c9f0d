"""The port to Cloud Storage: one translation of every fault of the client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import ConnectionError as Unconnected

from shared.core.errors import TryAgain
from shared.gcp.storage import Changed, Gone, reach


def translated(error: Exception) -> TryAgain:
    """Return what comes of an error of the client."""
    with pytest.raises(TryAgain) as raised, reach("read state/x.index"):
        raise error
    return raised.value


def answer(status: int) -> Any:
    """Return the error with which a streamed upload ends after such an answer."""
    return InvalidResponse(SimpleNamespace(status_code=status))


Error: Any = exceptions  # its constructors are not typed


@pytest.mark.parametrize(
    "error",
    [
        Error.ServiceUnavailable("x"),
        Error.Forbidden("x"),
        Error.RetryError("x", cause=None),
        Unconnected("x"),
        DataCorruption(None, "x"),
        answer(503),
    ],
)
def test_a_fault_that_passes(error: Exception) -> None:
    """Whatever the client raises is tried again, and is told by its name and without its text."""
    told = translated(error)
    assert (type(told), str(told)) == (
        TryAgain,
        f"Cloud Storage could not read state/x.index: {type(error).__name__}",
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Error.NotFound("x"), Gone),
        (answer(404), Gone),
        (Error.PreconditionFailed("x"), Changed),
        (answer(412), Changed),
    ],
)
def test_an_object_that_is_another_one(error: Exception, kind: type[TryAgain]) -> None:
    """An object that is gone or has changed is known as such, in a streamed upload as well."""
    assert type(translated(error)) is kind
