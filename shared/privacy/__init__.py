"""Erasing one person: every document, report and object that holds them."""

from __future__ import annotations

from shared.privacy.erasing import Erasure, erase

__all__ = ["Erasure", "erase"]
