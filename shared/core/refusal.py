"""The error of commands that do not apply to an import in its present state."""

from __future__ import annotations

from shared.core.errors import IngestError


class NotPossible(IngestError):
    """The command does not apply to this import; the message says which one does."""
