"""Limits of the gateway, per session and for all connections together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from shared.core import Deployment
from shared.files import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits and settings that each session applies to files."""

    file_size: int = 5 * 1024**3
    """Bytes of the largest file."""
    handles: int = 32
    """Files open at once in a session."""
    handles_per_user: int = 512
    """Files open at once by one user. No single login can use up all file descriptors."""
    handles_in_all: int = 1_024
    """Files open at once in the gateway."""
    spool_directory: Path | None = None
    """Folder for uploads under way; None for the system's temporary folder."""
    future_tolerance: timedelta = Deployment().future_tolerance
    """Longest time by which the time in a name may be ahead of now."""
    time_zone: tzinfo = Deployment().time_zone
    """Zone whose local time a name may carry instead of UTC."""

    def arrival(self) -> Arrival:
        """Return the arrival that the name of a file uploaded now is checked against."""
        return Arrival(datetime.now(UTC), self.future_tolerance, self.time_zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Limits on simultaneous connections and sessions."""

    connections: int = 200
    """Connections that have logged in."""
    connections_per_address: int = 100
    strangers: int = 300
    """Connections that have not logged in. They are counted separately from those that have."""
    strangers_per_address: int = 100
    sessions: int = 300
    """SFTP sessions in all connections."""
    idle_seconds: float = 900.0
    """Seconds without a request after which a connection is ended and its open uploads are lost."""
    session: Limits = field(default_factory=Limits)
