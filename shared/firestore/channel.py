"""The channel of a Firestore client, for calls with gRPC messages instead of the client's methods.

The client's methods cost several times more than the calls, and retry by other rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.api_core.gapic_v1 import routing_header
from google.cloud import firestore

SERVICE = "/google.firestore.v1.Firestore/"


class Channel:
    """A client's channel: address, credentials and emulator are the client's.

    Attributes:
        database: full name of the database, `projects/…/databases/(default)`.
        by_id: metadata that route a call by project and database id. BatchWrite accepts only these
            for a named database.
        by_name: metadata that route a call by the name of the database.
    """

    def __init__(self, client: firestore.Client) -> None:
        # The client has no public access to its channel, metadata and database name.
        inside: Any = client
        self.database: str = inside._database_string
        self._channel: grpc.Channel = inside._firestore_api.transport.grpc_channel
        self._metadata = (
            *inside._rpc_metadata,  # the database; for an emulator also "Bearer owner"
            inside._client_info.to_grpc_metadata(),
        )
        ids = (("project_id", client.project), ("database_id", inside._database))
        self.by_id = self.routed(ids)
        self.by_name = self.routed((("database", self.database),))

    def routed(self, parameters: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return metadata that route a call by these parameters, as the client's method does."""
        routing = routing_header.to_grpc_metadata(parameters)  # type: ignore[no-untyped-call]
        return (*self._metadata, routing)

    def unary(self, method: str, request: Any, answer: Any) -> Any:
        """Return a call with one answer; `request` and `answer` are raw message classes.

        With None as `request`, the call takes bytes, which are sent unchanged; with None as
        `answer`, it returns them unchanged.
        """
        return self._channel.unary_unary(
            f"{SERVICE}{method}",
            request_serializer=None if request is None else request.SerializeToString,
            response_deserializer=None if answer is None else answer.FromString,
        )

    def stream(self, method: str, request: Any, answer: Any) -> Any:
        """Return a call with a stream of answers."""
        return self._channel.unary_stream(
            f"{SERVICE}{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
