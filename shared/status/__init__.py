"""The pages for people: an overview of all feeds, and the outcome of each file."""

from __future__ import annotations

from shared.status.routes import PageAnswer, Request, answer

__all__ = ["PageAnswer", "Request", "answer"]
