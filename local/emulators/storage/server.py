"""Runs the server: a store, its API and the delivery of its events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from local.emulators.storage.api import Api
from local.emulators.storage.buckets import Buckets
from local.emulators.storage.contents import Contents
from local.emulators.storage.events import Dispatcher
from local.emulators.storage.objects import Objects
from local.emulators.storage.store import Store
from local.emulators.storage.uploads import KEPT_SECONDS, Uploads
from local.emulators.storage.wire import HttpServer


class Server:
    """A server that runs until `stop` is called."""

    def __init__(self, http: HttpServer, cleanup: contextlib.ExitStack) -> None:
        self.port = http.port
        """Port on which the server listens."""
        self._cleanup = cleanup

    def stop(self) -> None:
        """Stop answering and delivering, and close the store. Can be called twice."""
        self._cleanup.close()


def serve(
    *,
    port: int = 0,
    data: Path,
    buckets: Sequence[str],
    events: str | None = None,
    host: str = "127.0.0.1",
) -> Server:
    """Start a server on the buckets and objects kept in the folder `data`, made where missing.

    Args:
        port: where to listen; 0 takes a free one.
        data: the folder.
        buckets: names of buckets that are made where missing.
        events: URL to which an event is posted for every new object; None for no events.
        host: the address to listen on.

    Raises:
        InUse: another server works on the folder.
        OSError: the port is taken.
        Refusal: a bucket's name cannot be one.
    """
    with contextlib.ExitStack() as cleanup:
        store = Store(data)
        cleanup.callback(store.close)
        contents = Contents(data / "contents")
        _tidy(store, contents)
        dispatcher = Dispatcher(store, events) if events is not None else None
        objects = Objects(store, contents, announce=dispatcher.wake if dispatcher else None)
        own = Buckets(store)
        for name in buckets:
            own.ensure(name)
        api = Api(own, objects, Uploads(store, contents, objects))
        if dispatcher is not None:
            cleanup.callback(dispatcher.stop)
        http = HttpServer(host=host, port=port, handler=api)
        cleanup.callback(http.stop)
        if dispatcher is not None:
            dispatcher.start()
        http.start()
        return Server(http, cleanup.pop_all())


def _tidy(store: Store, contents: Contents) -> None:
    """Remove files that a kill has left unused, and uploads that have expired."""
    with store.transaction():
        store.drop_uploads(before=time.time_ns() // 1000 - KEPT_SECONDS * 1_000_000)
        contents.remove([id for id in contents.ids() if not store.is_used(id)])
