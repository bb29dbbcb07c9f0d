"""One attempt at an import: read, judge, write, report, end."""

from __future__ import annotations

from shared.loading.worker import settle, wake_dependants, work

__all__ = ["settle", "wake_dependants", "work"]
