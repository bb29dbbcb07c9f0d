"""The index of documents already written, and the merge of a file with what is stored."""

from __future__ import annotations

from shared.index.disowning import disowned, holds_word, is_disowned, withdrawing, without_word
from shared.index.feed import Successor, following, forget, look_at, marked
from shared.index.merge import COMPLETE, NEWER, OWN, decide
from shared.index.part import IndexPart
from shared.index.program import fingerprint
from shared.index.records import (
    RECORD,
    UNKNOWN,
    IndexRecords,
    Stamp,
    Table,
    age_of,
    find,
    merged,
    stamp_of,
)
from shared.index.session import Indexing, SeenDocument, holds_content
from shared.index.source import Origin, origin_of, source_age

__all__ = [
    "COMPLETE",
    "NEWER",
    "OWN",
    "RECORD",
    "UNKNOWN",
    "IndexPart",
    "IndexRecords",
    "Indexing",
    "Origin",
    "SeenDocument",
    "Stamp",
    "Successor",
    "Table",
    "age_of",
    "decide",
    "disowned",
    "find",
    "fingerprint",
    "following",
    "forget",
    "holds_content",
    "holds_word",
    "is_disowned",
    "look_at",
    "marked",
    "merged",
    "origin_of",
    "source_age",
    "stamp_of",
    "withdrawing",
    "without_word",
]
