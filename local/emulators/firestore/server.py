"""The server: a store and its service behind a port, from start to end."""

from __future__ import annotations

import tempfile
from concurrent import futures
from pathlib import Path

import grpc

from local.emulators.firestore.rpc import handler
from local.emulators.firestore.service import Service
from local.emulators.firestore.store import Store

_THREADS = 256
"""Threads of the server. Each open `Listen` stream and each waiting transaction takes one."""
_GRACE_SECONDS = 1.0


class Server:
    """A running server. Use it as a context manager or call `stop`."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        store: Store,
        grpc_server: grpc.Server,
        folder: tempfile.TemporaryDirectory[str] | None,
    ) -> None:
        self.host = host
        self.port = port
        self._store = store
        self._grpc = grpc_server
        self._folder = folder

    @property
    def address(self) -> str:
        """Value of FIRESTORE_EMULATOR_HOST for this server."""
        return f"{self.host}:{self.port}"

    def stop(self) -> None:
        """Stop answering and close the database. Can be called twice."""
        self._grpc.stop(_GRACE_SECONDS).wait()
        self._store.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def serve(*, port: int = 0, data: Path | None = None, host: str = "127.0.0.1") -> Server:
    """Start a server that keeps its documents in the folder `data`, or in a temporary folder.

    With port 0, the system chooses a free one, see `Server.port`. Raises `InUse` if another
    server uses the folder, `OSError` if the port is taken.
    """
    temporary = None if data is not None else tempfile.TemporaryDirectory(prefix="firestore-")
    folder = data if data is not None else Path(temporary.name if temporary else "")
    store = Store(folder)
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="firestore"),
        handlers=[handler(Service(store))],
        options=[
            # Sizes are checked later, with the message of the real service.
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        store.close()
        if temporary is not None:
            temporary.cleanup()
        raise OSError(f"Port {port} on {host} cannot be had: something else listens there.") from (
            error
        )
    server.start()
    return Server(host=host, port=bound, store=store, grpc_server=server, folder=temporary)
