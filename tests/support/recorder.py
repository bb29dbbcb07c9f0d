"""What the real clients ask of Google Cloud while something is carried out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import grpc
import pytest
import requests

_OBJECT = re.compile(r"/(?:upload/|download/)?storage/v1/b/[^/]+/o(?:/([^/]+))?(?:/(\w+)/.*)?$")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API."""

    method: str
    """`firestore.Commit`, `storage.objects.get`, `cloudtasks.CreateTask`."""
    name: str = ""
    """The object that it is about, for Cloud Storage."""


@dataclass(slots=True)
class Recorder:
    """Writes down which calls are made, and for whom."""

    calls: dict[str, set[Call]] = field(default_factory=dict)
    who: str = ""

    @contextmanager
    def acting(self, who: str) -> Iterator[None]:
        """Take what follows to be the doing of a function."""
        before, self.who = self.who, who
        try:
            yield
        finally:
            self.who = before

    def note(self, method: str, name: str = "") -> None:
        """Write a call down, unless it is the test's own."""
        if self.who:
            self.calls.setdefault(self.who, set()).add(Call(method, name))

    def storage(self, method: str, url: str, body: object) -> None:
        """Write a request to Cloud Storage down; that of an upload has the name in its body."""
        parts = urlsplit(url)
        match = _OBJECT.search(parts.path)
        if match is None:
            return
        name, action = unquote(match[1] or ""), match[2]
        if action in ("rewriteTo", "copyTo"):
            target = unquote(parts.path.rpartition("/o/")[2])
            self.note("storage.objects.get", name)
            self.note("storage.objects.insert", target)
        elif method == "POST" and not name:
            named = re.search(rb'"name": ?"([^"]+)"', body) if isinstance(body, bytes) else None
            self.note("storage.objects.insert", named[1].decode() if named else "?")
        elif method != "PUT":  # a PUT goes on with an upload that has been allowed
            kind = {"GET": "get" if name else "list", "DELETE": "delete", "PATCH": "patch"}[method]
            self.note(f"storage.objects.{kind}", name)


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg] # generic in the stubs alone
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
):
    recorder: ClassVar[Recorder]

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        self._note(details)
        return continuation(details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        self._note(details)
        return continuation(details, request)

    def _note(self, details: Any) -> None:
        method = details.method
        method = method.decode() if isinstance(method, bytes) else method
        self.recorder.note(f"firestore.{method.rpartition('/')[2]}")


def recording(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Put a recorder between the clients that are made from now on and their servers."""
    recorder = Recorder()
    insecure_channel = grpc.insecure_channel
    request = requests.Session.request

    def channel(target: str, *arguments: Any, **options: Any) -> grpc.Channel:
        interceptor = _Interceptor()
        interceptor.recorder = recorder  # type: ignore[misc]
        return grpc.intercept_channel(insecure_channel(target, *arguments, **options), interceptor)

    def noted(self: requests.Session, method: Any, url: Any, *arguments: Any, **more: Any) -> Any:
        data = more.get("data")
        if isinstance(data, str):
            data = data.encode()
        recorder.storage(str(method).upper(), str(url), data)
        return request(self, method, url, *arguments, **more)

    monkeypatch.setattr(grpc, "insecure_channel", channel)
    monkeypatch.setattr(requests.Session, "request", noted)
    return recorder
