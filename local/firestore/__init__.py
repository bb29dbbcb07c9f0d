"""A small Firestore server for one machine: the API as the client libraries see it, on SQLite."""

from local.firestore.server import Server, serve
from local.firestore.store import InUse

__all__ = ["InUse", "Server", "serve"]
