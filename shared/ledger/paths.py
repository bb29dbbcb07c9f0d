"""Paths of the ledger's documents in Firestore."""

from __future__ import annotations


def _shard_id(split: str, number: int) -> str:
    return f"{split}-{number:03}"


def imports_path(connection: str) -> str:
    """Return the path of a connection's imports, e.g. `connections/au/imports`."""
    return f"connections/{connection}/imports"


def import_path(connection: str, import_id: str) -> str:
    """Return an import's path, e.g. `connections/au/imports/customers_20230424T201230Z`."""
    return f"{imports_path(connection)}/{import_id}"


def shard_path(connection: str, import_id: str, split: str, number: int) -> str:
    """Return the path of one shard, below the path of its import."""
    return f"{import_path(connection, import_id)}/shards/{_shard_id(split, number)}"


def feed_path(connection: str, type: str) -> str:
    """Return the path of one feed, e.g. `connections/au/feeds/customers`."""
    return f"connections/{connection}/feeds/{type}"
