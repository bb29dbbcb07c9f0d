"""Uploads between a client's writes and the bucket."""

from __future__ import annotations

import asyncio
import errno
import random
from collections import OrderedDict
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.bucket import BucketError, Changed, Unreachable
from gateway.download import Download
from gateway.spool import Spool
from gateway.upload import CHUNK, Refused, Upload
from gateway.workers import Workers
from tests.support.gateway import MemoryBucket
from tests.support.waiting import PATIENCE

NAME = "pending/customers_20230424T201230Z.csv"
BLOCK = 32 * 1024
T = TypeVar("T")


@pytest.fixture(name="workers")
def _workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()


@pytest.fixture(name="bucket")
def _bucket() -> MemoryBucket:
    return MemoryBucket()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in a few seconds at most."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


def upload(
    bucket: MemoryBucket, workers: Workers, *, limit: int = 1 << 30, generation: int | None = None
) -> Upload:
    """Begin an upload."""
    return Upload(name=NAME, bucket=bucket, workers=workers, limit=limit, generation=generation)


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that are nowhere the same."""
    return random.Random(seed).randbytes(size)


async def send(to: Upload, data: bytes, *, order: random.Random | None = None) -> None:
    """Write in blocks, in order or, within windows of 64, in disorder."""
    offsets = list(range(0, len(data), BLOCK))
    for start in range(0, len(offsets), 64):
        window = offsets[start : start + 64]
        if order:
            order.shuffle(window)
        for offset in window:
            await to.write(offset, data[offset : offset + BLOCK])


@pytest.mark.parametrize(
    "size", [0, 1, BLOCK, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77]
)
@pytest.mark.parametrize("order", [None, random.Random(3)])
def test_whole(
    bucket: MemoryBucket, workers: Workers, size: int, order: random.Random | None
) -> None:
    """A file becomes one object, whole, at its commit and not before."""
    data = content(size)

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, data, order=order)
        assert bucket.objects == {}
        entry = await one.commit()
        assert entry.size == size

    run(work())

    assert bucket.content(NAME) == data
    assert bucket.history == [(NAME, size)]
    assert bucket.open_sendings == 0


def test_abort(bucket: MemoryBucket, workers: Workers) -> None:
    """An upload that is called off leaves neither an object nor a session."""

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, content(4 * CHUNK))
        await one.abort()
        await one.abort()

    run(work())

    assert bucket.begun == 1
    assert (bucket.objects, bucket.open_sendings) == ({}, 0)


def test_sent_while_written(bucket: MemoryBucket, workers: Workers) -> None:
    """Most of a large file is with the bucket before the client closes it."""

    async def work() -> int:
        one = upload(bucket, workers)
        await send(one, content(40 * CHUNK))
        handed = one._handed
        await one.commit()
        return handed

    assert run(work()) >= 23 * CHUNK


@pytest.mark.parametrize("at", [0, 100, CHUNK, 3 * CHUNK])
def test_rewritten(bucket: MemoryBucket, workers: Workers, at: int) -> None:
    """What a client changes afterwards is changed in the object, even if it was sent already."""
    data = bytearray(content(4 * CHUNK))
    before = bytes(data)
    data[at : at + 5] = b"HELLO"

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, before)
        await one.write(at, b"HELLO")
        await one.commit()

    run(work())

    assert bucket.content(NAME) == data
    assert (len(bucket.history), bucket.open_sendings) == (1, 0)


def test_truncated(bucket: MemoryBucket, workers: Workers) -> None:
    """A client that cuts its file back has the object that it sees."""
    data = content(3 * CHUNK)

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, data)
        await one.truncate(100)
        await one.write(100, b"end")
        await one.commit()

    run(work())

    assert bucket.content(NAME) == data[:100] + b"end"


def test_gap(bucket: MemoryBucket, workers: Workers) -> None:
    """A file of which a part never arrived is refused at its close, and nothing is left."""

    async def work() -> None:
        one = upload(bucket, workers)
        await one.write(0, b"x" * 10)
        await one.write(20, b"x" * 10)
        with pytest.raises(Refused, match="Bytes 10 to 20 of the file never arrived"):
            await one.commit()

    run(work())

    assert (bucket.objects, bucket.open_sendings) == ({}, 0)


def test_too_large(bucket: MemoryBucket, workers: Workers) -> None:
    """A file above the limit is refused in the write that goes beyond it, and at its close."""

    async def work() -> None:
        one = upload(bucket, workers, limit=100)
        await one.write(0, b"x" * 100)
        with pytest.raises(Refused, match="larger than the 100 bytes"):
            await one.write(100, b"x")
        with pytest.raises(Refused, match="larger than the 100 bytes"):
            await one.commit()

    run(work())

    assert bucket.objects == {}


def test_disk_full(bucket: MemoryBucket, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told to the client, and nothing is left."""

    def full(self: Spool, offset: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spool, "write", full)

    async def work() -> None:
        one = upload(bucket, workers)
        with pytest.raises(Refused, match=r"disk does not take the file \(ENOSPC\)"):
            await one.write(0, b"x")
        with pytest.raises(Refused, match="ENOSPC"):
            await one.commit()

    run(work())

    assert bucket.objects == {}


def test_bucket_fails_under_way(bucket: MemoryBucket, workers: Workers) -> None:
    """A bucket that fails under way is told in a later write, and in the close; nothing is left."""

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, content(2 * CHUNK))
        bucket.down = True
        with pytest.raises(Unreachable):
            await send(one, content(30 * CHUNK))
        with pytest.raises(Unreachable):
            await one.commit()

    run(work())

    assert (bucket.objects, bucket.open_sendings) == ({}, 0)


def test_bucket_fails_at_the_end(bucket: MemoryBucket, workers: Workers) -> None:
    """A bucket that fails at the close is told in the close."""

    async def work() -> None:
        one = upload(bucket, workers)
        await one.write(0, b"x")
        bucket.down = True
        with pytest.raises(BucketError):
            await one.commit()

    run(work())

    assert bucket.objects == {}


def test_session_forgotten(bucket: MemoryBucket, workers: Workers) -> None:
    """When the bucket forgets an upload it is sent again, and the client notices nothing."""
    data = content(6 * CHUNK)
    bucket.forget_after = 2 * CHUNK

    async def work() -> None:
        one = upload(bucket, workers)
        await send(one, data)
        await one.commit()

    run(work())

    assert bucket.content(NAME) == data
    assert (bucket.begun, bucket.open_sendings, len(bucket.history)) == (2, 0, 1)


def test_last_close_wins(bucket: MemoryBucket, workers: Workers) -> None:
    """Of two uploads to one name, the one that is closed last is the object."""

    async def work() -> None:
        first, second = upload(bucket, workers), upload(bucket, workers)
        await first.write(0, b"first")
        await second.write(0, b"second")
        await second.commit()
        await first.commit()

    run(work())

    assert bucket.content(NAME) == b"first"
    assert [size for _, size in bucket.history] == [6, 5]


def test_continued(bucket: MemoryBucket, workers: Workers) -> None:
    """An existing object can be continued; it is replaced as a whole at the close."""
    old = content(2 * CHUNK + 5)
    entry = bucket.put(NAME, old)
    states: list[bool] = []

    async def work() -> None:
        one = upload(bucket, workers, generation=entry.generation)
        await one.load(entry)
        states.append(one.untouched)
        await one.write(len(old), b"more")
        states.append(one.untouched)
        await one.commit()

    run(work())

    assert bucket.content(NAME) == old + b"more"
    assert states == [True, False]


def test_continued_too_late(bucket: MemoryBucket, workers: Workers) -> None:
    """What was added to one version of a file does not end up on another."""
    entry = bucket.put(NAME, b"old")

    async def work() -> None:
        one = upload(bucket, workers, generation=entry.generation)
        await one.load(entry)
        await one.write(3, b"+")
        bucket.put(NAME, b"new")
        with pytest.raises(Changed):
            await one.commit()

    run(work())

    assert bucket.content(NAME) == b"new"


@pytest.mark.parametrize(
    ("blocks", "last", "expected"),
    [
        ([b"x" * BLOCK, b"x" * BLOCK], b"x", True),
        ([b"x" * BLOCK], b"x", True),
        ([b"x" * BLOCK, b"x" * BLOCK], b"\n", False),
        ([b"x" * BLOCK, b"x" * 100], b"x", False),
        ([b"x" * 100], b"x", False),
        ([b"x" * 30_000, b"x" * 30_000], b"x", False),
        ([], b"", False),
    ],
)
def test_interrupted(
    bucket: MemoryBucket, workers: Workers, blocks: list[bytes], last: bytes, expected: bool
) -> None:
    """Nothing but full blocks and no end of line is what Ctrl-C leaves; all else is a file."""

    async def work() -> bool:
        one, offset = upload(bucket, workers), 0
        for number, block in enumerate(blocks, 1):
            data = block[: -len(last)] + last if number == len(blocks) else block
            await one.write(offset, data)
            offset += len(data)
        found = one.full_blocks_only and not await one.ends_a_line()
        await one.abort()
        return found

    assert run(work()) == expected


def test_nothing_on_disk(bucket: MemoryBucket, workers: Workers, tmp_path: Path) -> None:
    """Neither a finished upload nor one under way has a name in the spool directory."""

    async def work() -> None:
        one = Upload(
            name=NAME,
            bucket=bucket,
            workers=workers,
            limit=1 << 30,
            generation=None,
            spool_directory=tmp_path,
        )
        await one.write(0, b"x" * CHUNK)
        assert list(tmp_path.iterdir()) == []
        await one.commit()

    run(work())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, BLOCK, 5_000_001])
def test_download(bucket: MemoryBucket, workers: Workers, size: int) -> None:
    """A file is read back in pieces of any size, its end included."""
    data = content(size)
    entry = bucket.put(NAME, data)

    async def work() -> bytes:
        one, got = Download(entry=entry, bucket=bucket, workers=workers, blocks=OrderedDict()), b""
        while part := await one.read(len(got), 261_120):
            got += part
        assert await one.read(size + 100, 10) == b""
        return got

    assert run(work()) == data


def test_download_replaced(bucket: MemoryBucket, workers: Workers) -> None:
    """A file that is replaced while it is read is not mixed with its successor."""
    entry = bucket.put(NAME, content(3_000_000))

    async def work() -> None:
        one = Download(entry=entry, bucket=bucket, workers=workers, blocks=OrderedDict())
        await one.read(0, 10)
        bucket.put(NAME, content(3_000_000, seed=2))
        with pytest.raises(BucketError):
            await one.read(2_000_000, 10)

    run(work())
