"""Open files and uploads of all sessions, and the flag that the gateway is ending."""

from __future__ import annotations

from collections import Counter

import asyncssh

from gateway.interruptions import Interruptions
from gateway.limits import Limits
from gateway.upload import Refused, Upload


class Traffic:
    """State that all sessions of the gateway share."""

    def __init__(self) -> None:
        self.draining = False
        """True once no new uploads are accepted, because the gateway is ending."""
        self.uploads: set[Upload] = set()
        """Uploads under way. Their number is logged when the gateway ends."""
        self.handles: Counter[str] = Counter()
        """Number of open files, by user."""
        self.interruptions = Interruptions()

    def check_handles(self, user: str, in_session: int, limits: Limits) -> None:
        """Refuse another open file if the session, the user or the gateway is at its limit.

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
