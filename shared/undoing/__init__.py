"""Undoing an import: its documents get the content of the other exports."""

from __future__ import annotations

from shared.undoing.attempt import Undone, undo

__all__ = ["Undone", "undo"]
