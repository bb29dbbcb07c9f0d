"""The pages for people: how everything stands, and what has become of each file."""

from __future__ import annotations

from shared.status.routes import PageAnswer, Request, answer

__all__ = ["PageAnswer", "Request", "answer"]
