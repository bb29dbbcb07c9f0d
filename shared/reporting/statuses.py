"""How each status is shown to people: in words, with a sign, and as good or bad news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shared.ledger import PENDING, Status
from shared.reporting.sentences import LEFT_OUT

Tone = Literal["good", "warn", "bad", "busy", "calm"]
"""`bad` needs a person, `warn` is worth a look, `busy` goes on by itself, `calm` is past."""


@dataclass(frozen=True, slots=True)
class Face:
    """How one status is shown."""

    words: str
    sign: str
    """One character, so that nobody has to tell colours apart."""
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
"""Status -> how it is shown, in the order in which an import may pass through them."""


def face_of(status: Status, text: str) -> Face:
    """Return how a status is shown over its sentence: with no tick where values were left out."""
    face = FACES[status]
    if face.tone == "good" and LEFT_OUT in text:
        return replace(face, sign="△", tone="warn")
    return face


UNDER_WAY: tuple[Status, ...] = tuple(
    status for status in FACES if status in PENDING or status == "loading"
)
"""Not ended: waiting for something, or being worked on."""

GROUPS: Mapping[str, tuple[Status, ...]] = {
    "under_way": UNDER_WAY,
    "ended_well": ("loaded", "loaded_with_rejects", "checked"),
    "needs_a_look": ("overdue", "loaded_with_rejects", "rejected", "failed"),
}
"""Name -> statuses that people ask for together."""
