"""The pages for people: how everything stands, and what has become of each file."""

from __future__ import annotations

from shared.pages.answering import Answer, Request, answer

__all__ = ["Answer", "Request", "answer"]
