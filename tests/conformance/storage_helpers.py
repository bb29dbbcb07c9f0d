"""Helpers of the tests of the storage server."""

from __future__ import annotations

from typing import Any

Bucket = Any
Blob = Any
"""The client has no types of its own."""


def put(bucket: Bucket, name: str, data: bytes | str = b"data", **how: Any) -> Blob:
    """Make an object and return it as the server described it."""
    blob = bucket.blob(name)
    blob.upload_from_string(data, **how)
    return blob


def names(blobs: Any) -> list[str]:
    """Name what a list holds, in its order."""
    return [blob.name for blob in blobs]
