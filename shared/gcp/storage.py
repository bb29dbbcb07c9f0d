"""Calls to Cloud Storage, with one translation of its faults."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeVar

from google.api_core import exceptions
from google.resumable_media import DataCorruption, InvalidResponse
from requests.exceptions import RequestException

from shared.core import TryAgain

_T = TypeVar("_T")


FAULTS = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    RequestException,
    DataCorruption,
    InvalidResponse,
)


class Unusable(Exception):
    """The object is gone, or is not the one that was written."""


def encoded(crc: int) -> str:
    """Return a checksum as Cloud Storage writes it."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def reach(call: Callable[[], _T], done: str) -> _T:
    """Return what a call of Cloud Storage returns.

    Raises:
        TryAgain: Cloud Storage could not be reached, or what was to be `done` is gone.
    """
    try:
        return call()
    except exceptions.NotFound as error:
        raise TryAgain(f"An object in state/ could not be {done}: it is gone.") from error
    except FAULTS as error:
        raise TryAgain(
            f"An object in state/ could not be {done}: {type(error).__name__}"
        ) from error
