"""Reads a file from the bucket for a client that asks for small pieces."""

from __future__ import annotations

from collections import OrderedDict

from gateway.bucket import Bucket, Entry
from gateway.workers import Workers

BLOCK = 256 * 1024
"""Bytes fetched at a time."""
_KEPT_BLOCKS = 3
"""Blocks kept per session. Clients ask for many pieces at once, not always in order."""

Blocks = OrderedDict[tuple[str, int, int], bytes]
"""The blocks that a session has just read, by object, generation and number."""


class Download:
    """An open handle for reading. It always reads the generation that was opened."""

    def __init__(self, *, entry: Entry, bucket: Bucket, workers: Workers, blocks: Blocks) -> None:
        """`blocks` is shared by all handles of a session, which bounds their memory."""
        self.entry = entry
        self._bucket = bucket
        self._workers = workers
        self._blocks = blocks

    async def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from an offset, b"" at the end. Raises BucketError."""
        size = max(0, min(size, self.entry.size - offset))
        parts = []
        while size > 0:
            block, within = divmod(offset, BLOCK)
            part = (await self._block(block))[within : within + size]
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    async def _block(self, number: int) -> bytes:
        key = (self.entry.name, self.entry.generation, number)
        data = self._blocks.get(key)
        if data is None:
            start = number * BLOCK
            end = min(start + BLOCK, self.entry.size)
            data = await self._workers.bucket(
                self._bucket.read, self.entry.name, self.entry.generation, start, end
            )
            while len(self._blocks) >= _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
            self._blocks[key] = data
        self._blocks.move_to_end(key)
        return data
