"""Callers of the functions, and how errors are answered over HTTP."""

from __future__ import annotations

from shared.web.answers import answer, read_body

__all__ = ["answer", "read_body"]
