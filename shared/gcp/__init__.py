"""Thin ports to Cloud Storage, Cloud Tasks and storage events."""

from __future__ import annotations

from shared.gcp.events import UPLOADED, StorageObject, read_event
from shared.gcp.queue import CloudQueue

__all__ = ["UPLOADED", "CloudQueue", "StorageObject", "read_event"]
