"""Erasure of one person from every document, report and object."""

from __future__ import annotations

from shared.privacy.erasing import Erasure, erase

__all__ = ["Erasure", "erase"]
