"""The error of commands that do not apply to the import as it is."""

from __future__ import annotations

from shared.core.errors import IngestError


class NotPossible(IngestError):
    """What was asked for makes no sense for this import; the message says what does."""
