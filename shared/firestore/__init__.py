"""Firestore: queries, transactions, and the batch writer in `bulk`."""

from __future__ import annotations

from shared.firestore.query import Slice

__all__ = ["Slice"]
