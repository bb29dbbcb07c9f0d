"""Detects uploads that a client has closed although they may have been interrupted."""

from __future__ import annotations

from collections import OrderedDict

from gateway.paths import Place
from gateway.upload import Upload
from shared.files import Ignored, read_name

_INTERRUPTED = (
    "The upload seems to have been interrupted: it ends with a full block in the middle of a line. "
    "Nothing of it was kept. Upload it again; if it is whole, end its last line with a line break."
)
_DOUBTFUL = (
    "The upload may have been interrupted: it ends with a full block, exactly where a line ends. "
    "Nothing of it was kept. Upload it again; the same file is taken the second time."
)
_MOST_DOUBTED = 1_000
"""Possibly interrupted uploads that are remembered."""


class Doubts:
    """Possibly interrupted uploads of all sessions, by object name."""

    def __init__(self) -> None:
        self._doubted: OrderedDict[str, bytes] = OrderedDict()

    async def about(self, upload: Upload, place: Place, *, stops_quietly: bool) -> str | None:
        """Return why a closed upload may be incomplete; None if there is no doubt.

        `stops_quietly`: an interrupted client closes a file as if it were complete.
        """
        if _is_temporary(place) or not upload.full_blocks_only:
            return None
        if not await upload.ends_a_line():
            return _INTERRUPTED
        if stops_quietly and not await self._confirmed(upload):
            return _DOUBTFUL
        return None

    async def _confirmed(self, upload: Upload) -> bool:
        """Return True if the last doubted upload of this name had the same content."""
        digest = await upload.digest()
        if self._doubted.pop(upload.name, None) == digest:
            return True
        self._doubted[upload.name] = digest
        if len(self._doubted) > _MOST_DOUBTED:
            self._doubted.popitem(last=False)
        return False


def _is_temporary(place: Place) -> bool:
    """Return True for a temporary name. Clients rename it, but not after an interruption."""
    return isinstance(read_name(place.object or ""), Ignored)
