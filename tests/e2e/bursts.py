"""Uploads many files at once to a running stack, and reports time, tasks and memory.

python -m tests.e2e.bursts --files 500 --sessions 20 --connections 5 --crowd 200
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh

from local.endpoints import Endpoints
from tests.support.stack import Hands, Up, hands_on
from tests.support.waiting import descendants, eventually

ROWS = 20
"""Rows per file."""
ADDRESSES = 10
"""Addresses of this machine that the crowd comes from."""
FIRST = datetime(2024, 11, 18, 0, 0, tzinfo=UTC)
ENDED = ("loaded", "loaded_with_rejects", "rejected", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a burst."""

    statuses: Counter[str]
    """How many imports ended in which status."""
    documents: int
    upload_seconds: float
    """From the first byte to the last file's close."""
    load_seconds: float
    """From the first byte until every import has ended."""
    tasks: int
    """Tasks that the imports were given, all together."""
    most_tasks: int
    """Tasks of the import that was given most."""
    logged_in: int
    """Connections of the crowd that logged in and listed a folder."""
    gateway_peak: int
    """The most memory that the gateway has used, in bytes."""


def content(first: int) -> bytes:
    """Return a customers file of `ROWS` people, numbered from `first`."""
    text = io.StringIO()
    text.write("PERIDX,FIRSTNAME,EMAIL,PRIVACY,LAST_UPDATED\r\n")
    for number in range(first, first + ROWS):
        text.write(f"{number},Ana,a{number}@example.com,No,2024-11-18T09:00:00\r\n")
    return text.getvalue().encode()


def import_id(number: int) -> str:
    """Return the import id of a file of a connection, e.g. `customers_20241118T000300Z`."""
    return f"customers_{FIRST + timedelta(minutes=number):%Y%m%dT%H%M%SZ}"


def burst(data: Path, *, files: int, sessions: int, connections: int, crowd: int) -> Outcome:
    """Start a stack, upload `files` over `sessions`, and have a crowd of connections at once."""
    names = [f"c{number}" for number in range(connections)]
    wanted = [
        (names[number % connections], import_id(number // connections)) for number in range(files)
    ]
    with Up(data) as up, hands_on(up.ready()) as hands:
        began = time.monotonic()
        asyncio.run(_upload_all(hands.endpoints, wanted, sessions))
        uploaded = time.monotonic() - began
        assert eventually(lambda: _ended(hands, wanted)), "not every import has ended"
        loaded = time.monotonic() - began
        logged_in = asyncio.run(_crowd(hands.endpoints, crowd))
        imports = [hands.import_(*one) for one in wanted]
        numbers = [one.task_number for one in imports if one is not None]
        return Outcome(
            statuses=Counter(one.status for one in imports if one is not None),
            documents=sum(hands.count(f"connections/{name}/customers") for name in names),
            upload_seconds=uploaded,
            load_seconds=loaded,
            tasks=sum(numbers),
            most_tasks=max(numbers),
            logged_in=logged_in,
            gateway_peak=_gateway_peak(up),
        )


def _ended(hands: Hands, wanted: Sequence[tuple[str, str]]) -> bool:
    imports = hands.firestore.collection_group("imports").select(["status"]).stream()
    return sum(one.get("status") in ENDED for one in imports) == len(wanted)


def _connect(endpoints: Endpoints, address: str) -> Any:
    sftp = endpoints.sftp
    return asyncssh.connect(
        sftp.host, sftp.port, username=sftp.user, password=sftp.password, known_hosts=None,
        client_keys=None, agent_path=None, config=[], local_addr=(address, 0), login_timeout=300,
    )  # fmt: skip


async def _upload_all(
    endpoints: Endpoints, wanted: Sequence[tuple[str, str]], sessions: int
) -> None:
    async def upload(mine: Sequence[tuple[int, tuple[str, str]]]) -> None:
        async with (
            _connect(endpoints, "127.0.0.1") as connection,
            connection.start_sftp_client() as sftp,
        ):
            for number, (name, import_id) in mine:
                path = f"pending/{name}/{import_id}.csv"
                async with sftp.open(path, "wb") as file:
                    await file.write(content(number * ROWS))

    numbered = list(enumerate(wanted))
    await asyncio.gather(*(upload(numbered[start::sessions]) for start in range(sessions)))


async def _crowd(endpoints: Endpoints, crowd: int) -> int:
    """Log so many in, keep all of them, and let each list a folder."""
    all_in = asyncio.Barrier(crowd) if crowd else None

    async def look(number: int) -> bool:
        address = f"127.0.0.{2 + number % ADDRESSES}"
        async with (
            _connect(endpoints, address) as connection,
            connection.start_sftp_client() as sftp,
        ):
            assert all_in is not None
            await all_in.wait()
            return "processed" in await sftp.listdir("/")

    return sum(await asyncio.gather(*map(look, range(crowd))))


def _gateway_peak(up: Up) -> int:
    # Programs that only start the gateway have its name on their command lines, too.
    return max(
        int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
        for pid in descendants(up.process.pid)
        if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )


def main(arguments: Sequence[str]) -> None:
    """Do it as the command line says, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.bursts", description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--crowd", type=int, default=200, help="connections at once")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outcome = burst(
            Path(folder) / "data",
            files=parsed.files,
            sessions=parsed.sessions,
            connections=parsed.connections,
            crowd=parsed.crowd,
        )
    statuses = ", ".join(f"{count:,} {status}" for status, count in outcome.statuses.items())
    print(
        f"{parsed.files:,} files over {parsed.sessions} sessions: uploaded in "
        f"{outcome.upload_seconds:.1f} s, all loaded after {outcome.load_seconds:.1f} s.\n"
        f"Imports: {statuses}; {outcome.documents:,} documents.\n"
        f"Tasks: {outcome.tasks:,}, {outcome.tasks / parsed.files:.1f} per file, at most "
        f"{outcome.most_tasks}.\n"
        f"Connections at once: {outcome.logged_in} of {parsed.crowd} logged in.\n"
        f"Memory of the gateway: {outcome.gateway_peak / 1024**2:.0f} MiB at most."
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
