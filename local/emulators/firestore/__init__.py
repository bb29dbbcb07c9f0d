"""A small Firestore server for one machine: the API as the client libraries see it, on SQLite."""

from local.emulators.firestore.server import Server, serve
from local.emulators.firestore.store import InUse

__all__ = ["InUse", "Server", "serve"]
