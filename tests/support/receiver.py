"""An HTTP server on the receiving end of the local services, whose answers a test sets."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.waiting import PATIENCE

SOON = PATIENCE
"""Seconds within which anything expected must have happened, on however busy a machine."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that has reached the handler."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Handler:
    """What answers under one path of the receiver."""

    url: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the first answers; after them it answers 200."""
    gate: threading.Event = field(default_factory=threading.Event)
    """No answer is given while this is not set."""
    calls: list[Call] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int) -> list[Call]:
        """Wait until `count` requests have come and give all that have."""
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.calls) >= count, SOON)
            assert came, f"{len(self.calls)} of {count} requests came"
            return list(self.calls)


class Receiver:
    """An HTTP server whose answers are set by path."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                # A client that hangs up is part of the game.
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def answer(self) -> None:
                receiver._answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        class ManyAtOnce(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True
            block_on_close = False

        self._server = ManyAtOnce(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def handler(self, *statuses: int | tuple[int, dict[str, str]], held: bool = False) -> Handler:
        """Make a path of its own that answers with these first; `held` keeps its gate shut."""
        path = f"/h{next(_numbers)}"
        answers = [status if isinstance(status, tuple) else (status, {}) for status in statuses]
        handler = self._handlers[path] = Handler(self.url + path, answers)
        if not held:
            handler.gate.set()
        return handler

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        at = time.time()
        handler = self._handlers[request.path.partition("?")[0]]
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        call = Call(
            at=at,
            method=request.command,
            path=request.path,
            headers=dict(request.headers.items()),
            body=body,
        )
        with handler.changed:
            place = len(handler.calls)
            handler.calls.append(call)
            handler.busy += 1
            handler.most_busy = max(handler.most_busy, handler.busy)
            handler.changed.notify_all()
        handler.gate.wait(SOON)
        with handler.changed:
            handler.busy -= 1
        status, headers = handler.answers[place] if place < len(handler.answers) else (200, {})
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()

    def stop(self) -> None:
        for handler in self._handlers.values():
            handler.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
