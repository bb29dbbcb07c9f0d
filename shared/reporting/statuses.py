"""Presentation of each status: its words, its sign and its tone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shared.ledger import PENDING, Status
from shared.reporting.sentences import BEING_UNDONE, LEFT_OUT, REJECTED_FIRST

Tone = Literal["good", "warn", "bad", "busy", "calm"]
"""`bad` needs a person, `warn` needs a look, `busy` continues automatically, `calm` is past."""


@dataclass(frozen=True, slots=True)
class Face:
    """The presentation of one status."""

    words: str
    sign: str
    """One character, for people who cannot tell the colours apart."""
    tone: Tone


FACES: Mapping[Status, Face] = {
    "received": Face("received", "○", "busy"),
    "waiting": Face("waiting", "◔", "busy"),
    "scheduled": Face("scheduled", "◷", "busy"),
    "blocked": Face("blocked", "‖", "busy"),
    "overdue": Face("overdue", "!", "bad"),
    "loading": Face("loading", "▸", "busy"),
    "loaded": Face("loaded", "✓", "good"),
    "loaded_with_rejects": Face("loaded with rejects", "△", "warn"),
    "checked": Face("checked", "✓", "good"),
    "rejected": Face("rejected", "✕", "bad"),
    "failed": Face("failed", "✕", "bad"),
    "superseded": Face("superseded", "↷", "calm"),
}
"""Status -> its presentation, in the order in which an import may pass through them."""


def face_of(status: Status, text: str) -> Face:
    """Return the presentation of a status with its status text.

    If the text says that values were left out, a tick becomes a warning sign. Files that wait for
    a rejected file say so, because they do not continue automatically. So does an import whose
    undoing has not ended: it may have been interrupted.
    """
    face = FACES[status]
    if status in ("blocked", "overdue") and REJECTED_FIRST in text:
        return replace(face, words="blocked by a rejected file", tone="bad")
    if face.tone in ("good", "warn") and BEING_UNDONE in text:
        return replace(face, words="being undone", sign="△", tone="warn")
    if face.tone == "good" and LEFT_OUT in text:
        return replace(face, sign="△", tone="warn")
    return face


UNDER_WAY: tuple[Status, ...] = tuple(
    status for status in FACES if status in PENDING or status == "loading"
)
"""Statuses of imports that have not ended."""

GROUPS: Mapping[str, tuple[Status, ...]] = {
    "under_way": UNDER_WAY,
    "ended_well": ("loaded", "loaded_with_rejects", "checked"),
    "needs_a_look": ("overdue", "loaded_with_rejects", "rejected", "failed"),
}
"""Name of a filter -> its statuses."""
