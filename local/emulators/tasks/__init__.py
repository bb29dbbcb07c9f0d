"""A Cloud Tasks v2 server for one machine, with its start and stop.

It speaks gRPC with the unmodified google-cloud-tasks client. It keeps queues and tasks in a folder,
so that they survive a kill. It sends HTTP tasks as the service does: at least once, signed,
limited, and retried with backoff.

Not served: App Engine targets, OAuth tokens, queue-level targets, batches, IAM. Unlike the service,
it follows no redirects and does not slow down a whole queue after errors.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import grpc

from local.emulators.database import InUse
from local.emulators.tasks.queues import Queues
from local.emulators.tasks.service import handler
from local.emulators.tasks.store import Store
from local.identity import CertsServer, Key, load_key, mint

__all__ = ["InUse", "Server", "serve"]

_RPC_THREADS = 16


class Server:
    """A server that runs until `stop` is called."""

    def __init__(
        self, *, host: str, port: int, key: Key, certs: CertsServer, queues: Queues
    ) -> None:
        self._certs = certs
        self._queues = queues
        # Without reuseport a second server on the port fails instead of taking half of the calls.
        self._grpc = grpc.server(
            ThreadPoolExecutor(_RPC_THREADS, thread_name_prefix="rpc"),
            options=[("grpc.so_reuseport", 0)],
        )
        self._grpc.add_generic_rpc_handlers((handler(queues),))
        self.port = self._grpc.add_insecure_port(f"{host}:{port}")
        """Port of the gRPC service."""
        self.key = key
        """Signs the tokens of tasks that ask for one."""
        self.certs_url = certs.url
        """URL of the certificates that verify those tokens."""
        self._grpc.start()

    def stop(self) -> None:
        """Stop. The next server repeats the attempts that were under way."""
        self._grpc.stop(grace=0.5).wait()
        self._queues.stop()
        self._certs.stop()


def serve(
    *,
    data: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    certs_port: int = 0,
    tombstone_seconds: float = 3600.0,
) -> Server:
    """Start a server on the queues and tasks kept in the folder `data`, made where missing.

    Args:
        data: the folder; the key that signs tokens is in it too.
        host: the address to listen on.
        port: of the gRPC service; 0 takes a free one.
        certs_port: of the certificates; 0 takes a free one.
        tombstone_seconds: how long the name of a finished or deleted task is refused to a new one,
            and that of a deleted queue. The service itself takes up to 24 hours and 3 days.

    Raises:
        InUse: another server works on the folder.
        OSError, RuntimeError: a port is taken.
    """
    key = load_key(data)
    store = Store(data)
    certs = None
    queues = None
    try:
        certs = CertsServer(key, host=host, port=certs_port)

        def sign(audience: str, email: str, now: datetime) -> str:
            return mint(key=key, audience=audience, email=email, now=now)

        queues = Queues(store=store, mint=sign, tombstone_seconds=tombstone_seconds)
        return Server(host=host, port=port, key=key, certs=certs, queues=queues)
    except BaseException:
        if queues is not None:
            queues.stop()
        else:
            store.close()
        if certs is not None:
            certs.stop()
        raise
