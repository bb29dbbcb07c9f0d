"""Choice of the objects of an index that an import reads, and of those that it merges.

The objects of an index are in the order in which they were written; of several objects with a
record of a key, the last one counts. So an import can leave the old objects as they are, and add
one object with the records of its own documents. To keep the objects few, it merges the newest
ones with its own.

Example: the index has objects of 1,000,000, 70,000 and 900 records. A file of 1,000 documents
merges the last object, because 900 is at most `SMALL`. So the index then has objects of 1,000,000,
70,000 and at most 1,900 records. A file of 300,000 documents merges all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.index import objects
from shared.ledger import StateObject

SMALL = 16_384
"""Records of an object that every import reads and merges, 0.8 MB."""

GROWTH = 4
"""An object is merged if it has at most this many times the records that it is merged with. So a
record is written again only when its object grows to more than a fourth as many again."""

RECORDS_PER_READ = 4_000
"""Records of an index that are read instead of one document of Firestore. They take as much
processor time as 1.6 documents, 24 ns each, and cost as much money as an eighth of one."""


def first_merged(parts: Sequence[StateObject], documents: int) -> int:
    """Return the place of the first object that a file of so many documents merges with its own."""
    place, records = len(parts), documents
    while place:
        more = objects.count(parts[place - 1 : place])
        if more > max(SMALL, GROWTH * records):
            break
        place, records = place - 1, records + more
    return place


def first_read(parts: Sequence[StateObject], unknown: int) -> int:
    """Return the place of the first object that is read for so many documents without a record.

    The objects before it cost more to read than the documents.
    """
    place, budget = len(parts), unknown * RECORDS_PER_READ
    while place and unknown:
        budget -= objects.count(parts[place - 1 : place])
        if budget < 0:
            break
        place -= 1
    return place
