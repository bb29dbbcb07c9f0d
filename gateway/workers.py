"""Runs all blocking work in threads, so that the event loop never waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Lets in one caller per kind at a time, so that many of one kind do not delay the others."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, kind: str) -> AsyncIterator[None]:
        """Wait for a turn of this kind, and hold it for the context."""
        lock = self._locks.setdefault(kind, asyncio.Lock())
        self._waiting[kind] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[kind] -= 1
            if not self._waiting[kind]:
                del self._waiting[kind], self._locks[kind]


class Workers:
    """Separate threads for disk, bucket and passwords. A slow one does not delay the others."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(4, thread_name_prefix="disk")
        self._bucket = ThreadPoolExecutor(24, thread_name_prefix="bucket")
        self._hash = ThreadPoolExecutor(2, thread_name_prefix="hash")

    async def disk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that uses the disk."""
        return await _run(self._disk, partial(call, *args, **kwargs))

    async def bucket(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that uses the bucket."""
        return await _run(self._bucket, partial(call, *args, **kwargs))

    async def hash(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a password check. It is slow and needs much memory, so few run at once."""
        return await _run(self._hash, partial(call, *args, **kwargs))

    def close(self) -> None:
        """Accept no more work, without waiting for calls under way."""
        for pool in (self._disk, self._bucket, self._hash):
            pool.shutdown(wait=False, cancel_futures=True)


async def _run(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, call)
