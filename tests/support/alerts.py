"""Alerts: how they come about, what is stored of them, and who receives them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.pipeline import Pipeline, orders_csv
from tests.support.waiting import PATIENCE

ORDERS = "orders_20230501T115500Z"


def alerts(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Read all alerts."""
    return {one.id: one.to_dict() or {} for one in pipeline.database.collection("alerts").stream()}


def overdue_orders(pipeline: Pipeline) -> None:
    """Let orders become overdue."""
    pipeline.upload(f"{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("18:00")
    pipeline.sweep()
    assert pipeline.run_due() == ["overdue"]


class Receiver:
    """A webhook's receiver that answers as it is told to.

    status: of its answers. refuse: a text for which it answers 400 instead. hold: while cleared, it
    answers nothing. garbage: sent in the place of an answer. drip: seconds between the bytes of its
    headers.
    """

    def __init__(self) -> None:
        self.status = 200
        self.refuse = ""
        self.hold = threading.Event()
        self.hold.set()
        self.garbage = b""
        self.drip = 0.0
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(json.loads(body))
                self.refused = bool(receiver.refuse) and receiver.refuse.encode() in body
                self.do_GET()

            def do_GET(self) -> None:
                receiver.paths.append(f"{self.command} {self.path}")
                receiver.hold.wait(PATIENCE)
                with suppress(OSError):  # nobody waits for it any more
                    self._answer()

            def _answer(self) -> None:
                if receiver.garbage:
                    self.wfile.write(receiver.garbage)
                    return
                if receiver.drip:
                    for octet in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000:
                        self.wfile.write(bytes([octet]))
                        time.sleep(receiver.drip)
                status = 200 if self.path == "/login" else receiver.status
                if getattr(self, "refused", False):
                    status = 400
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/login")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook/T0P-S3CRET"

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        """Listen for the length of the block."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.hold.set()
            self.drip = 0.0
            self.server.shutdown()
            thread.join()
            self.server.server_close()
