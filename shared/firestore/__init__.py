"""Firestore: queries, transactions, and the batch writer in `bulk`."""

from __future__ import annotations

from shared.firestore.query import Fields, Slice

__all__ = ["Fields", "Slice"]
