"""Counts the files that all sessions have open, and knows whether the gateway ends."""

from __future__ import annotations

from collections import Counter

import asyncssh

from gateway.doubts import Doubts
from gateway.limits import Limits
from gateway.upload import Refused, Upload


class Traffic:
    """What all sessions of the gateway share."""

    def __init__(self) -> None:
        self.draining = False
        """Whether no more uploads are begun."""
        self.uploads: set[Upload] = set()
        """The uploads under way, so that the gateway can end without cutting them."""
        self.handles: Counter[str] = Counter()
        """Files open, by user."""
        self.doubts = Doubts()

    def check_handles(self, user: str, in_session: int, limits: Limits) -> None:
        """Refuse one more open file where a session, a user or the gateway has too many.

        Raises:
            Refused: the session or the user has to close a file first.
            SFTPFailure: the gateway has too many files open.
        """
        if in_session >= limits.handles:
            raise Refused(f"This session has {limits.handles} files open; close some first.")
        if self.handles[user] >= limits.handles_per_user:
            raise Refused(
                f"The user {user} has {limits.handles_per_user} files open; close some first."
            )
        if self.handles.total() >= limits.handles_in_all:
            raise asyncssh.SFTPFailure("Too many files are open here. Try again in a minute.")
