"""Taking an import back: documents get what the other exports say."""

from __future__ import annotations

from shared.undoing.attempt import Undone, undo

__all__ = ["Undone", "undo"]
