"""HTTP/1.1 server that turns requests into values and sends the answers.

Bodies stream both ways, chunked ones included. A connection serves one request after another. h11
does the framing. Each connection has a thread, because everything behind it blocks.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

from local.emulators.storage.refusals import Refusal, invalid

_log = logging.getLogger(__name__)

_READ_BYTES = 256 * 1024
_HEAD_BYTES = 64 * 1024
"""Room for two object names of 1024 bytes in one address, every byte percent-encoded."""
_STALL_SECONDS = 600.0
"""Seconds that a client may take for its next bytes, or for its next request."""
_GRACE_SECONDS = 2.0
"""Seconds that requests under way may take to end when the server stops."""


class Interrupted(Exception):
    """A client that disconnected, or sent invalid data, in the middle of its body."""


@dataclass(slots=True)
class Request:
    """One request.

    Headers have lower-case names. `target` is the path as it was sent, still percent-encoded. A
    slash in an object's name is `%2F` there, unlike a slash of the path.
    """

    method: str
    target: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))

    @property
    def base(self) -> str:
        """Server address as the client knows it, for absolute links."""
        return f"http://{self.headers.get('host', 'localhost')}"

    def read(self, *, limit: int) -> bytes:
        """Return the whole body, of at most `limit` bytes. Raises Refusal, Interrupted."""
        data = bytearray()
        for piece in self.body:
            data += piece
            if len(data) > limit:
                raise Refusal(413, "uploadTooLarge", "The request is too large.")
        return bytes(data)

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an absent or `null` one is empty. Raises Refusal."""
        data = self.read(limit=1024 * 1024)
        try:
            content = json.loads(data) if data.strip() else None
        except ValueError:
            raise Refusal(400, "parseError", "Parse Error") from None
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise invalid("The body must be a JSON object.")
        return content


@dataclass(slots=True, kw_only=True)
class Answer:
    """Answer to the client. A streamed body has its length in the headers or is sent chunked."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Generator[bytes, None, None] = b""


Handler = Callable[[Request], Answer]


def split_query(text: str) -> dict[str, str]:
    """Read a query string; if a name occurs twice, the last one counts. Raises Refusal."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise invalid("The address is not UTF-8.") from None


def _by_own_names(handler: Handler, host: str) -> Handler:
    """Refuse a request whose Host is neither an address, nor `localhost`, nor the server's `host`.

    A page in a browser can have its own name resolved to this machine and then read every answer
    (DNS rebinding). The browser still sends the name of the page.
    """

    def answer(request: Request) -> Answer:
        asked = request.headers.get("host", host)
        if not _is_own_name(asked, host):
            raise Refusal(403, "forbidden", f"This server is not called {asked}: use 127.0.0.1.")
        return handler(request)

    return answer


def _is_own_name(asked: str, host: str) -> bool:
    try:
        name = urlsplit(f"//{asked}").hostname or ""
        if name in ("localhost", host):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class HttpServer:
    """A server that runs until `stop` is called."""

    def __init__(self, *, host: str, port: int, handler: Handler) -> None:
        """Listen on `port`, or on a free one for 0. Raises OSError."""
        self._listener = _Listener((host, port), _by_own_names(handler, host))
        self.port: int = self._listener.server_address[1]
        """Port on which the server listens."""
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, name="accept"
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; requests under way have a moment to end."""
        if self._thread.ident is not None:
            self._listener.shutdown()
            self._thread.join()
        self._listener.server_close()
        self._listener.hang_up()


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Handler) -> None:
        self._answer = handler
        self._connections: set[_Connection] = set()
        self._changed = threading.Condition()
        self._closing = False
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        connection = _Connection(request, self._answer)
        with self._changed:
            if self._closing:
                return
            self._connections.add(connection)
        try:
            connection.serve()
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("A connection failed.")

    def hang_up(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        with self._changed:
            self._closing = True
            for connection in self._connections:
                connection.leave()
            while self._connections and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            for connection in self._connections:
                connection.cut()
            self._changed.wait_for(lambda: not self._connections, _GRACE_SECONDS)


class _Connection:
    def __init__(self, sock: socket.socket, handler: Handler) -> None:
        self._socket = sock
        self._handler = handler
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._lock = threading.Lock()
        self._idle = True
        self._leaving = False

    def leave(self) -> None:
        """Take no further request."""
        with self._lock:
            self._leaving = True
            if self._idle:
                self.cut()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer requests until either side ends the connection."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_STALL_SECONDS)
        with contextlib.suppress(OSError, h11.LocalProtocolError, Interrupted):
            while self._serve_one():
                self._h11.start_next_cycle()

    def _serve_one(self) -> bool:
        try:
            event = self._next_event()
        except h11.RemoteProtocolError as error:
            if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                refusal = invalid("The request is not HTTP.")
                refusal.status = error.error_status_hint
                self._send(refuse(refusal))
            return False
        if not isinstance(event, h11.Request):
            return False
        with self._lock:
            self._idle = False
            if self._leaving:
                return False
        try:
            answer = self._ask(event)
        except Interrupted:
            return False
        unsent = self._h11.they_are_waiting_for_100_continue
        self._send(answer)
        if unsent:
            return False
        # Read the unused rest of the body. Otherwise, a client that is still sending would meet a
        # closed connection instead of its answer.
        for _ in self._body():
            pass
        with self._lock:
            self._idle = True
            return not self._leaving and self._h11.our_state is h11.DONE

    def _ask(self, event: h11.Request) -> Answer:
        try:
            path, _, query = event.target.decode("ascii").partition("?")
            return self._handler(
                Request(
                    method=event.method.decode("ascii"),
                    target=path,
                    query=split_query(query),
                    headers={
                        name.decode("ascii"): value.decode("latin-1")
                        for name, value in event.headers
                    },
                    body=self._body(),
                )
            )
        except Refusal as refusal:
            return refuse(refusal)
        except Interrupted:
            raise
        except Exception:
            _log.exception("A request failed.")
            return refuse(Refusal(500, "backendError", "Backend Error"))

    def _next_event(self) -> Any:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._socket.sendall(self._h11.send(go_on) or b"")
            self._h11.receive_data(self._socket.recv(_READ_BYTES))

    def _body(self) -> Iterator[bytes]:
        while self._h11.their_state is h11.SEND_BODY:
            try:
                event = self._next_event()
            except (OSError, h11.RemoteProtocolError) as error:
                raise Interrupted from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def _send(self, answer: Answer) -> None:
        headers = [*answer.headers]
        if isinstance(answer.body, bytes) and answer.status not in (204, 304):
            headers.append(("Content-Length", str(len(answer.body))))
        head = h11.Response(
            status_code=answer.status,
            reason=_REASONS.get(answer.status, b""),
            headers=[(name.encode(), _header_value(value)) for name, value in headers],
        )
        pieces = _one(answer.body) if isinstance(answer.body, bytes) else answer.body
        with contextlib.closing(pieces):
            waiting = self._h11.send(head) or b""
            for piece in pieces:
                # Small answers are sent in one packet with their headers.
                self._socket.sendall(waiting + (self._h11.send(h11.Data(data=piece)) or b""))
                waiting = b""
            self._socket.sendall(waiting + (self._h11.send(h11.EndOfMessage()) or b""))


_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    499: b"Client Closed Request"
}


def _one(data: bytes) -> Generator[bytes, None, None]:
    if data:
        yield data


def _header_value(text: str) -> bytes:
    """Return the part of a text that a header can hold; it may be an object's metadata."""
    return (
        "".join(" " if ord(sign) < 32 or ord(sign) == 127 else sign for sign in text)
        .strip()
        .encode()
    )


def refuse(refusal: Refusal) -> Answer:
    """Put a refusal into an answer."""
    body = refusal.body()
    headers = [("Content-Type", "application/json; charset=UTF-8")] if body else []
    return Answer(status=refusal.status, headers=headers, body=body)
