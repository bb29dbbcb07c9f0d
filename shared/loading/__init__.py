"""One attempt at an import: read, judge, write, report, end."""

from __future__ import annotations

from shared.loading.followup import follow_up, wake_dependents
from shared.loading.worker import work

__all__ = ["follow_up", "wake_dependents", "work"]
