"""The sweep: lost events and tasks, stopped feeds, leftovers."""

from __future__ import annotations

from shared.sweeping.caretaker import sweep

__all__ = ["sweep"]
