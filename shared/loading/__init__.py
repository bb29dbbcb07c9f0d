"""One attempt at an import: read, judge, write, report, end."""

from __future__ import annotations

from shared.loading.settling import settle, wake_dependents
from shared.loading.worker import work

__all__ = ["settle", "wake_dependents", "work"]
