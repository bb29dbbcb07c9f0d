"""Tests of the field `source` of many documents at once."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from shared.firestore.bulk import decode_content
from shared.index.records import UNKNOWN
from shared.index.source import Origin, fresh_sources

ORIGIN = Origin(
    import_id="customers_20230424T201230Z",
    exported_at=datetime(2023, 4, 24, 20, 12, 30, tzinfo=UTC),
    generation=1_682_367_150_000_000,
)
CONSENT = frozenset({"consent.email", "consent.sms"})
PATTERNS: tuple[frozenset[str], ...] = (
    frozenset(),
    CONSENT,
    frozenset({"mobile", "address.city", "consent.sms"}),
    frozenset({"mobile"}),
)
CONTENTS = (1, UNKNOWN, 2**63, 2**64 - 1, UNKNOWN, 77)


def test_each_document_has_its_own_source() -> None:
    """A source has the row and content of its document, and the open fields but consent, sorted.

    The content is an integer with a sign, and left out if it is unknown.
    """
    count = len(PATTERNS) * len(CONTENTS)
    lines = [3 ** (place % 20) for place in range(count)]
    keep = [PATTERNS[place % len(PATTERNS)] for place in range(count)]
    contents = [CONTENTS[place // len(PATTERNS)] for place in range(count)]

    made = fresh_sources(lines, keep, np.array(contents, np.uint64), ORIGIN, CONSENT)

    for wire, line, open_, content in zip(made, lines, keep, contents, strict=True):
        expected = {
            "import": ORIGIN.import_id,
            "exportedAt": ORIGIN.exported_at,
            "generation": ORIGIN.generation,
            "row": line,
        }
        if content != UNKNOWN:
            expected["content"] = content if content < 2**63 else content - 2**64
        if open_ - CONSENT:
            expected["open"] = sorted(open_ - CONSENT)
        assert decode_content(wire) == {"source": expected}
