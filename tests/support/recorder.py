"""What the real clients ask of Google Cloud while something is carried out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from benchmarks.intercepting import intercepted

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
        body = body.encode() if isinstance(body, str) else body
        parts = urlsplit(url)
        match = _OBJECT.search(parts.path)
        if match is None:
            return
        name, action = unquote(match[1] or ""), match[2]
        if action == "moveTo":
            self.note("storage.objects.move", name)
            self.note("storage.objects.insert", unquote(parts.path.rpartition("/o/")[2]))
        elif action in ("rewriteTo", "copyTo"):
            target = unquote(parts.path.rpartition("/o/")[2])
            self.note("storage.objects.get", name)
            self.note("storage.objects.insert", target)
        elif method == "POST" and not name:
            named = re.search(rb'"name": ?"([^"]+)"', body) if isinstance(body, bytes) else None
            self.note("storage.objects.insert", named[1].decode() if named else "?")
        elif method != "PUT":  # a PUT goes on with an upload that has been allowed
            kind = {"GET": "get" if name else "list", "DELETE": "delete", "PATCH": "patch"}[method]
            self.note(f"storage.objects.{kind}", name)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Put a recorder between the clients that are made inside and their servers."""
    recorder = Recorder()
    with intercepted(lambda method: recorder.note(f"firestore.{method}"), recorder.storage):
        yield recorder
