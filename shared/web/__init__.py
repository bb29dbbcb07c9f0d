"""Callers of the functions, and HTTP answers to errors."""

from __future__ import annotations

from shared.web.answers import answer, read_body

__all__ = ["answer", "read_body"]
