"""Batches of documents: encoded as protobuf bytes, looked up and written many at a time."""

from __future__ import annotations

from shared.firestore.bulk.encoding import ENCODING, decode_content, encode_content
from shared.firestore.bulk.existence import LOOKED_UP, DocumentReader, KnownDocuments, Lookups
from shared.firestore.bulk.operations import (
    Expectations,
    Leave,
    Left,
    Outcome,
    Put,
    Refused,
    Remove,
    Written,
)
from shared.firestore.bulk.pacing import GROWTH, STEP, Ramp, first_rate
from shared.firestore.bulk.transport import Stored, Transport, encode_write
from shared.firestore.bulk.wire import FIELD, Entries, Heads, doubles, entry, integers, value
from shared.firestore.bulk.writer import Writer
from shared.firestore.encoding import nanoseconds

__all__ = [
    "ENCODING",
    "FIELD",
    "GROWTH",
    "LOOKED_UP",
    "STEP",
    "DocumentReader",
    "Entries",
    "Expectations",
    "Heads",
    "KnownDocuments",
    "Leave",
    "Left",
    "Lookups",
    "Outcome",
    "Put",
    "Ramp",
    "Refused",
    "Remove",
    "Stored",
    "Transport",
    "Writer",
    "Written",
    "decode_content",
    "doubles",
    "encode_content",
    "encode_write",
    "entry",
    "first_rate",
    "integers",
    "nanoseconds",
    "value",
]
