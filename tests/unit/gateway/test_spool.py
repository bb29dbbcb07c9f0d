"""What has arrived of an upload, and what has not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool import Spool, TooScattered


@pytest.mark.parametrize(
    ("writes", "prefix", "gap"),
    [
        ([], 0, None),
        ([(0, b"abc")], 3, None),
        ([(0, b"abc"), (3, b"de")], 5, None),
        ([(3, b"de"), (0, b"abc")], 5, None),
        ([(2, b"c")], 0, (0, 2)),
        ([(0, b"a"), (3, b"d"), (5, b"f")], 1, (1, 3)),
        ([(0, b"a"), (5, b"f"), (1, b"bcde")], 6, None),
        ([(0, b"abcd"), (1, b"X")], 4, None),
        ([(0, b"")], 0, None),
    ],
)
def test_arrived(writes: list[tuple[int, bytes]], prefix: int, gap: tuple[int, int] | None) -> None:
    """Writes in any order are known for what they cover without a gap."""
    spool = Spool()
    for offset, data in writes:
        spool.write(offset, data)

    assert (prefix, gap) == (spool.prefix, spool.gap)
    spool.close()


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=20)), max_size=20))
def test_like_a_file(writes: list[tuple[int, bytes]]) -> None:
    """A spool holds what a plain file would, and its prefix is what was really written."""
    spool, model, written = Spool(), bytearray(), set[int]()
    for offset, data in writes:
        spool.write(offset, data)
        model.extend(bytes(max(0, offset + len(data) - len(model))))
        model[offset : offset + len(data)] = data
        written.update(range(offset, offset + len(data)))
    missing = [at for at in range(len(model)) if at not in written]

    assert bytes(model) == spool.read(0, 1000)
    assert spool.prefix == (missing[0] if missing else len(model))
    assert (spool.gap is None) == (not missing)
    spool.close()


def test_shuffled_blocks() -> None:
    """Blocks of a file that arrive in any order make the file."""
    blocks = [(start, bytes([start % 251]) * 7) for start in range(0, 7000, 7)]
    random.Random(5).shuffle(blocks)
    spool = Spool()
    for offset, data in blocks:
        spool.write(offset, data)

    assert (spool.prefix, spool.gap) == (7000, None)
    assert b"".join(data for _, data in sorted(blocks)) == spool.read(0, 7000)
    spool.close()


def test_truncate() -> None:
    """Cutting forgets what was there; announcing a size leaves it to be written."""
    spool = Spool()
    spool.write(0, b"abcdef")
    spool.truncate(3)
    spool.truncate(5)

    assert (spool.size, spool.prefix, spool.gap) == (5, 3, (3, 5))
    spool.write(3, b"XY")

    assert (spool.gap, spool.read(0, 10)) == (None, b"abcXY")
    spool.close()


def test_too_scattered() -> None:
    """A client that leaves thousands of gaps is stopped."""
    spool = Spool()
    for offset in range(0, 2 * 4_096, 2):
        spool.write(offset, b"x")

    with pytest.raises(TooScattered):
        spool.write(1_000_000, b"x")
    spool.close()


def test_nothing_left(tmp_path: Path) -> None:
    """A spool has no name in its directory, so that nothing of it survives the process."""
    spool = Spool(tmp_path)
    spool.write(0, b"x" * 100_000)

    assert list(tmp_path.iterdir()) == []
    spool.close()
