"""Delivers events of new objects to their receiver at least once, as Eventarc does.

https://cloud.google.com/eventarc/docs/cloudevents
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

from local.emulators.storage.resources import timestamp
from local.emulators.storage.store import Event, Store

_log = logging.getLogger(__name__)

TYPE = "google.cloud.storage.object.v1.finalized"

_AT_ONCE = 8
"""Deliveries under way at a time."""
_HELD = 1000
"""Events held in memory; the others wait in the store."""
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_KEPT_SECONDS = 24 * 3600
"""Age at which an undelivered event is given up, as Eventarc does."""
_ANSWER_SECONDS = 600.0
"""Seconds that the receiver may take to answer."""


def pause_after(failures: int) -> float:
    """Return the seconds until the next attempt, by the number of failed attempts."""
    return min(_FIRST_PAUSE * float(1 << min(failures - 1, 30)), _LONGEST_PAUSE)


def headers(event: Event) -> dict[str, str]:
    """Return the attributes of a CloudEvent in binary mode; the id is the same in every attempt.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
    """
    # Each data folder counts its own events, so the time keeps the ids apart.
    attributes = {
        "id": f"{event.created}{event.id:08d}",
        "specversion": "1.0",
        "type": TYPE,
        "source": f"//storage.googleapis.com/projects/_/buckets/{event.bucket}",
        "subject": f"objects/{event.name}",
        "time": timestamp(event.created),
    }
    return {
        **{f"ce-{name}": encode_attribute(value) for name, value in attributes.items()},
        "content-type": "application/json",
    }


def encode_attribute(value: str) -> str:
    """Percent-encode what an HTTP header cannot hold: all but visible ASCII, `"` and `%` too."""
    return quote(value, safe=_AS_THEY_ARE)


_AS_THEY_ARE = "".join(chr(sign) for sign in range(0x21, 0x7F) if chr(sign) not in '"%')


class Dispatcher:
    """Delivers the events in the store until it is stopped. Undelivered events stay there."""

    def __init__(
        self, store: Store, url: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Deliver to `url`."""
        self._store = store
        self._url = url
        self._clock = clock
        self._changed = threading.Condition()
        self._stopping = False
        self._news = True
        self._last = 0
        """Id of the last event that was taken from the store."""
        self._due: list[tuple[float, int, int, Event]] = []
        """Heap of time, id, failures so far and event."""
        self._busy: set[Delivery] = set()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="event")
        self._thread = threading.Thread(target=self._run, name="events")

    def start(self) -> None:
        """Begin to deliver, first the events that an earlier server has left."""
        self._thread.start()

    def wake(self) -> None:
        """Look for new events."""
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop. The next server repeats the deliveries that were under way."""
        with self._changed:
            self._stopping = True
            for delivery in self._busy:
                delivery.cut()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, self._patience())
                if self._stopping:
                    return
                news, self._news = self._news, False
                held = len(self._due) + len(self._busy)
            if news and held < _HELD:
                self._take(_HELD - held)
            self._send_due()

    def _is_due(self) -> bool:
        free = len(self._busy) < _AT_ONCE
        due = bool(self._due) and self._due[0][0] <= self._clock()
        return self._stopping or self._news or (free and due)

    def _patience(self) -> float | None:
        if not self._due or len(self._busy) >= _AT_ONCE:
            return None
        return max(0.0, self._due[0][0] - self._clock())

    def _take(self, limit: int) -> None:
        with self._store.reading():
            found = self._store.events(after=self._last, limit=limit)
        with self._changed:
            for event in found:
                heapq.heappush(self._due, (self._clock(), event.id, 0, event))
                self._last = event.id

    def _send_due(self) -> None:
        with self._changed:
            while self._due and self._due[0][0] <= self._clock() and len(self._busy) < _AT_ONCE:
                _, _, failures, event = heapq.heappop(self._due)
                delivery = Delivery(self._url, event)
                self._busy.add(delivery)
                self._pool.submit(self._deliver, delivery, failures)

    def _deliver(self, delivery: Delivery, failures: int) -> None:
        event = delivery.event
        try:
            delivered = delivery.run()
            old = time.time() - event.created / 1e6 > _KEPT_SECONDS
            if old and not delivered:
                _log.error("Event %s was not taken for 24 hours; given up.", event.id)
            if delivered or old:
                with self._store.transaction():
                    self._store.drop_event(event.id)
                return
            pause = pause_after(failures + 1)
            with self._changed:
                heapq.heappush(self._due, (self._clock() + pause, event.id, failures + 1, event))
        except Exception:
            _log.exception("Event %s waits for the next start.", event.id)
        finally:
            with self._changed:
                self._busy.discard(delivery)
                # There may be room again for events that wait in the store.
                self._news = True
                self._changed.notify_all()


class Delivery:
    """One attempt. `run` is for one thread, `cut` for any other."""

    def __init__(self, url: str, event: Event) -> None:
        self.event = event
        self._url = urlsplit(url)
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._is_cut = False

    def cut(self) -> None:
        """Stop waiting: `run` returns at once, and the receiver's answer is ignored."""
        with self._lock:
            self._is_cut = True
            sock = self._connection.sock if self._connection is not None else None
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> bool:
        """Post the event; return True if it was accepted, with any status of 2xx."""
        kind = (
            http.client.HTTPSConnection
            if self._url.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._url.hostname or "", self._url.port, timeout=_ANSWER_SECONDS)
        try:
            connection.connect()
            with self._lock:
                self._connection = connection
                if self._is_cut:
                    return False
            path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
            connection.request("POST", path, self.event.body.encode(), headers(self.event))
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            _log.info("Event %s: no answer (%s).", self.event.id, type(error).__name__)
            return False
        else:
            if not 200 <= response.status < 300:
                _log.info("Event %s: answer %s.", self.event.id, response.status)
            return 200 <= response.status < 300
        finally:
            connection.close()
