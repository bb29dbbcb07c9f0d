"""A small Firestore server for one machine: the API as the client libraries see it, on SQLite."""

from local.emulators.database import InUse
from local.emulators.firestore.server import Server, serve

__all__ = ["InUse", "Server", "serve"]
