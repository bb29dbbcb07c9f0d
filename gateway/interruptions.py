"""Detection of interrupted uploads that a client has closed as if they were complete."""

from __future__ import annotations

from collections import OrderedDict

from gateway.paths import Place
from gateway.upload import Upload
from shared.files import Ignored, read_name

_INTERRUPTED = (
    "The upload seems to have been interrupted: it ends with a full block in the middle of a line. "
    "Nothing of it was kept. Upload it again; if it is whole, end its last line with a line break."
)
_PERHAPS_INTERRUPTED = (
    "The upload may have been interrupted: it ends with a full block, exactly where a line ends. "
    "Nothing of it was kept. Upload it again; the same file is taken the second time."
)
_MOST_SUSPECTED = 1_000
"""Possibly interrupted uploads that are remembered."""


class Interruptions:
    """Possibly interrupted uploads of all sessions, by object name."""

    def __init__(self) -> None:
        self._suspected: OrderedDict[str, bytes] = OrderedDict()

    async def suspected(self, upload: Upload, place: Place, *, stops_quietly: bool) -> str | None:
        """Return why a closed upload may be incomplete; None if nothing suggests it.

        `stops_quietly`: an interrupted client closes a file as if it were complete.
        """
        if _is_temporary(place) or not upload.full_blocks_only:
            return None
        if not await upload.ends_a_line():
            return _INTERRUPTED
        if stops_quietly and not await self._confirmed(upload):
            return _PERHAPS_INTERRUPTED
        return None

    async def _confirmed(self, upload: Upload) -> bool:
        """Return True if the last suspected upload of this name had the same content."""
        digest = await upload.digest()
        if self._suspected.pop(upload.name, None) == digest:
            return True
        self._suspected[upload.name] = digest
        if len(self._suspected) > _MOST_SUSPECTED:
            self._suspected.popitem(last=False)
        return False


def _is_temporary(place: Place) -> bool:
    """Return True for a temporary name. Clients rename it, but not after an interruption."""
    return isinstance(read_name(place.object or ""), Ignored)
