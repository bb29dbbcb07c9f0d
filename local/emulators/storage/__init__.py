"""A Cloud Storage server for one machine: the JSON API as the client libraries see it, on files.

Not served: the XML and gRPC APIs, access control (every request is allowed, access lists and
policies are not there), encryption keys, soft delete, holds, retention and lifecycle rules (which
are kept, but nothing acts on them), and the service's limit of one write a second to an object.
"""

from local.emulators.storage.server import Server, serve
from local.emulators.storage.store import InUse

__all__ = ["InUse", "Server", "serve"]
