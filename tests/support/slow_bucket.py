"""A bucket that takes uploads slowly or not at all, behind the JSON API of Cloud Storage."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import PATIENCE

_PIECE = 64 * 1024


class SlowBucket(ThreadingHTTPServer):
    """Takes `bytes_a_second` of each upload; with 0 it takes nothing until it is `released`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, bytes_a_second: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bytes_a_second = bytes_a_second
        self.released = threading.Event()
        self.received = 0
        self.objects: dict[str, int] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowBucket

    def handle(self) -> None:
        """Serve a connection to its end, which its client may make at any time."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List nothing, and know no object."""
        self._answer(200 if "/o?" in self.path else 404, {"kind": "storage#objects"})

    def do_POST(self) -> None:
        """Begin an upload."""
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["name"]
        self._answer(200, {}, Location=f"http://{self.headers['Host']}/upload/{name}")

    def do_DELETE(self) -> None:
        """Forget an upload."""
        self._answer(499, {})

    def do_PUT(self) -> None:
        """Take the next bytes of an upload, at the speed agreed."""
        size = int(self.headers["Content-Length"])
        if not self.server.bytes_a_second:
            self.server.released.wait()
        for start in range(0, size, _PIECE):
            self.server.received += len(self.rfile.read(min(_PIECE, size - start)))
            if self.server.bytes_a_second:
                self.server.released.wait(_PIECE / self.server.bytes_a_second)
        stretch, _, total = self.headers["Content-Range"].removeprefix("bytes ").partition("/")
        if total == "*":
            self._answer(308, {}, Range=f"bytes=0-{stretch.partition('-')[2]}")
        else:
            name = self.path.removeprefix("/upload/")
            self.server.objects[name] = int(total)
            self._answer(200, {"name": name, "size": total, "generation": "1"})

    def _answer(self, status: int, content: dict[str, Any], **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def slow_bucket(bytes_a_second: int) -> Iterator[SlowBucket]:
    """Serve such a bucket on a free port."""
    server = SlowBucket(bytes_a_second)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
