"""The threads in which everything that blocks is done, so that the event loop never waits."""

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
    """Lets one at a time of each kind in, so that the many of one kind delay no other kind."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, kind: str) -> AsyncIterator[None]:
        """Stand for one's turn; waits until it has come."""
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
    """Disk, bucket and passwords have threads of their own: one that hangs holds up no other."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(4, thread_name_prefix="disk")
        self._bucket = ThreadPoolExecutor(24, thread_name_prefix="bucket")
        self._hash = ThreadPoolExecutor(2, thread_name_prefix="hash")

    async def disk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the disk."""
        return await _run(self._disk, partial(call, *args, **kwargs))

    async def bucket(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the bucket."""
        return await _run(self._bucket, partial(call, *args, **kwargs))

    async def hash(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Check a password: slow and large on purpose, so few at a time."""
        return await _run(self._hash, partial(call, *args, **kwargs))

    def close(self) -> None:
        """Take no more work; what is under way is not waited for."""
        for pool in (self._disk, self._bucket, self._hash):
            pool.shutdown(wait=False, cancel_futures=True)


async def _run(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, call)
