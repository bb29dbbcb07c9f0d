"""A gateway that runs in this process, and a bucket in memory that can be made to fail."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh

from gateway.brake import Brake
from gateway.bucket import Bucket, Changed, Entry, Missing, Page, SessionLost, Unreachable
from gateway.limits import Capacity
from gateway.server import Gateway
from gateway.users import Users, UsersFile, hash_password
from tests.support.waiting import PATIENCE

PASSWORD = "correct horse"
CHEAP = (1024, 8, 1)
"""A cost of hashing that does not slow the tests down."""


@dataclass
class MemoryBucket:
    """A bucket as `gateway.bucket.Bucket` describes it."""

    objects: dict[str, tuple[bytes, Entry]] = field(default_factory=dict)
    history: list[tuple[str, int]] = field(default_factory=list)
    """(name, size) of every object that came into being, in order."""
    begun: int = 0
    open_sendings: int = 0
    """Uploads begun and neither finished nor cancelled: there must be none in the end."""
    down: bool = False
    """Whether nothing gets an answer."""
    forget_after: int | None = None
    """Bytes after which the next upload under way is forgotten, once."""
    _generations: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, data: bytes, *, updated: datetime | None = None) -> Entry:
        """Make an object."""
        with self._lock:
            entry = Entry(
                name=name,
                size=len(data),
                generation=next(self._generations),
                updated=updated or datetime.now(UTC),
            )
            self.objects[name] = (data, entry)
            self.history.append((name, len(data)))
            return entry

    def content(self, name: str) -> bytes:
        """Return an object's bytes."""
        return self.objects[name][0]

    def find(self, name: str) -> Entry | None:
        self.answer()
        return self.objects[name][1] if name in self.objects else None

    def pages(self, prefix: str) -> Iterator[Page]:
        self.answer()
        below = sorted(name for name in self.objects if name.startswith(prefix))
        # Pages of two, so that a listing of a few files has several.
        for two in itertools.zip_longest(*[iter(below)] * 2):
            names = [name for name in two if name is not None]
            yield Page(
                entries=tuple(
                    self.objects[name][1] for name in names if "/" not in name[len(prefix) :]
                ),
                folders=tuple(
                    f"{prefix}{name[len(prefix) :].partition('/')[0]}/"
                    for name in names
                    if "/" in name[len(prefix) :]
                ),
            )

    def any_below(self, prefix: str) -> bool:
        self.answer()
        return any(name.startswith(prefix) for name in self.objects)

    def read(self, name: str, generation: int, start: int, end: int) -> bytes:
        self.answer()
        data, entry = self.objects.get(name, (b"", None))
        if entry is None or entry.generation != generation:
            raise Missing("There is no such file.")
        return data[start:end]

    def begin(self, name: str, *, generation: int | None) -> MemorySending:
        self.answer()
        self.begun += 1
        self.open_sendings += 1
        return MemorySending(self, name, generation)

    def copy(self, source: Entry, name: str, *, generation: int | None) -> Entry:
        self.answer()
        self.require(name, generation)
        return self.put(name, self.read(source.name, source.generation, 0, source.size))

    def delete(self, name: str, generation: int) -> None:
        self.answer()
        self.require(name, generation)
        del self.objects[name]

    def mark(self, folder: str) -> None:
        self.answer()
        if folder not in self.objects:
            self.put(folder, b"")

    def answer(self) -> None:
        """Fail if the bucket is down."""
        if self.down:
            raise Unreachable("The bucket cannot be reached (ConnectionError).")

    def require(self, name: str, generation: int | None) -> None:
        """Fail if an object is not of the generation that it must be of."""
        present = self.objects[name][1].generation if name in self.objects else 0
        if generation is not None and generation != present:
            raise Changed("The file was changed by another upload in the meantime.")


class MemorySending:
    """An object on its way into a `MemoryBucket`."""

    def __init__(self, bucket: MemoryBucket, name: str, generation: int | None) -> None:
        self._bucket = bucket
        self._name = name
        self._generation = generation
        self._data = bytearray()
        self._open = True

    def send(self, data: bytes) -> None:
        self._bucket.answer()
        assert self._open
        assert data
        assert len(data) % (256 * 1024) == 0, "the bucket takes multiples of 256 KiB"
        self._data += data
        limit = self._bucket.forget_after
        if limit is not None and len(self._data) > limit:
            self._bucket.forget_after = None
            raise SessionLost("The bucket has forgotten the upload.")

    def finish(self, data: bytes) -> Entry:
        self._bucket.answer()
        assert self._open
        self._bucket.require(self._name, self._generation)
        self._end()
        return self._bucket.put(self._name, bytes(self._data + data))

    def cancel(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._bucket.open_sendings -= 1


def write_users(path: Path, **connections: str) -> None:
    """Write a users file: each user's connection by name; all have the password `PASSWORD`."""
    import json

    shared = hash_password(PASSWORD, cost=CHEAP)
    rows: list[dict[str, Any]] = [
        {"name": name, "connection": connection, "password_hash": shared}
        for name, connection in connections.items()
    ]
    path.write_text(json.dumps({"users": rows}), "utf-8")


class Running:
    """A gateway on a port of its own, in a thread of its own."""

    def __init__(
        self,
        *,
        bucket: Bucket,
        users: Path,
        capacity: Capacity | None = None,
        brake: Brake | None = None,
        old_clients: bool = False,
    ) -> None:
        self.port = 0
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.users = Users(UsersFile(users), warn=lambda text: None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def start() -> int:
            self.gateway = Gateway(
                users=self.users, bucket=bucket, capacity=capacity or Capacity(), brake=brake
            )
            return await self.gateway.listen(
                host="127.0.0.1", port=0, host_keys=[self.host_key], old_clients=old_clients
            )

        self.port = self._call(start()).result(20)

    def drain(self, seconds: float) -> Future[None]:
        """Begin to end the gateway."""
        return self._call(self.gateway.drain(seconds))

    def stop(self) -> None:
        """End the gateway and its thread."""
        self._call(self.gateway.drain(0)).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _call(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
