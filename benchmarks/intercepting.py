"""Tells of every call that Google's clients make to Firestore and Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import grpc
import requests

Rpc = Callable[[str], None]
"""Told of a call over gRPC, e.g. `Commit`."""

Request = Callable[[str, str, Any], None]
"""Told of a request over HTTP: method, address and body."""


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg] # generic in the stubs alone
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
):
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        self._tell(details)
        return continuation(details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        self._tell(details)
        return continuation(details, request)

    def _tell(self, details: Any) -> None:
        method = details.method
        method = method.decode() if isinstance(method, bytes) else method
        self._rpc(method.rpartition("/")[2])


@contextmanager
def intercepted(rpc: Rpc, request: Request) -> Iterator[None]:
    """Tell of the calls of all clients that are made inside, as long as the context lasts."""
    insecure_channel, send = grpc.insecure_channel, requests.Session.request

    def channel(target: str, *arguments: Any, **options: Any) -> grpc.Channel:
        made = insecure_channel(target, *arguments, **options)
        return grpc.intercept_channel(made, _Interceptor(rpc))

    def told(self: requests.Session, method: Any, url: Any, *arguments: Any, **more: Any) -> Any:
        request(str(method).upper(), str(url), more.get("data"))
        return send(self, method, url, *arguments, **more)

    with (
        patch.object(grpc, "insecure_channel", channel),
        patch.object(requests.Session, "request", told),
    ):
        yield
