"""A Cloud Storage server for one machine: the JSON API as the client libraries see it, on files.

Not served: the XML and gRPC APIs, access control, encryption keys, soft delete, and the limit of
one write per second per object. Every request is allowed; access lists and policies do not exist.
Holds, retention and lifecycle rules are stored but have no effect.
"""

from local.emulators.database import InUse
from local.emulators.storage.server import Server, serve

__all__ = ["InUse", "Server", "serve"]
