"""The channel of a Firestore client, for calls with gRPC messages instead of the client's methods.

The client's methods cost several times more than the calls, and retry by other rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import grpc
from google.api_core.gapic_v1 import routing_header
from google.cloud import firestore
from google.cloud.firestore_v1.services.firestore.transports.grpc import FirestoreGrpcTransport
from grpc.experimental import ChannelOptions

from shared.firestore.messages import classes

SERVICE = "/google.firestore.v1.Firestore/"

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The caller reads a stream itself. Otherwise gRPC starts a thread for every call.
    (ChannelOptions.SingleThreadedUnaryStream, 1),
)
_KEEPALIVE = (("grpc.keepalive_time_ms", 30_000),)
"""As in the client's own channel."""


class Channel:
    """A channel beside a client's own: address, credentials and emulator are the client's.

    Attributes:
        database: full name of the database, `projects/…/databases/(default)`.
        by_id: metadata that route a call by project and database id. BatchWrite accepts only these
            for a named database.
        by_name: metadata that route a call by the name of the database.
    """

    def __init__(self, client: firestore.Client) -> None:
        # The client has no public access to its address, metadata and database name.
        inside: Any = client
        self.database: str = inside._database_string
        self._channel = _channel_of(client)
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

    def unary(self, method: str) -> Any:
        """Return a call with one answer."""
        return self._channel.unary_unary(f"{SERVICE}{method}", *_conversions(method))

    def unary_of_bytes(self, method: str) -> Any:
        """Return a call that takes an encoded request, and returns the encoded answer."""
        return self._channel.unary_unary(f"{SERVICE}{method}", None, None)

    def stream(self, method: str) -> Any:
        """Return a call with a stream of answers."""
        return self._channel.unary_stream(f"{SERVICE}{method}", *_conversions(method))


def _channel_of(client: firestore.Client) -> grpc.Channel:
    """Return the one channel that is opened for a client."""
    channel = _channels.get(client)
    if channel is None:
        channel = _channels.setdefault(client, _opened(client))
    return channel


_channels: WeakKeyDictionary[firestore.Client, grpc.Channel] = WeakKeyDictionary()


def _opened(client: Any) -> grpc.Channel:
    if client._emulator_host:
        return grpc.insecure_channel(client._emulator_host, _OPTIONS)
    return FirestoreGrpcTransport.create_channel(
        client._target, credentials=client._credentials, options=(*_OPTIONS, *_KEEPALIVE)
    )


def _conversions(method: str) -> tuple[Any, Any]:
    request, answer = classes(method)
    return request.SerializeToString, answer.FromString
