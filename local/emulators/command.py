"""The command line of a local server: its usual options, and its run from start to SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from local.emulators.database import InUse


class Stoppable(Protocol):
    """A server that runs until `stop` is called."""

    def stop(self) -> None:
        """Stop the server."""


S = TypeVar("S", bound=Stoppable)


def make_parser(module: str, service: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every local server."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=f"A {service} server for this machine."
    )
    parser.add_argument("--port", type=int, required=True, help="to listen on; 0: any free")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the state")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    return parser


def run(serve: Callable[[], S], ready: Callable[[S], str], *refused: type[Exception]) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start.

    `ready` returns the line that says where the server listens. `refused` are errors of the start
    besides a folder in use, a taken port and a spoilt database.
    """
    failures: tuple[type[Exception], ...] = (
        *(InUse, OSError, RuntimeError, sqlite3.DatabaseError),
        *refused,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = serve()
    except failures as error:
        print(f"The server cannot start: {error}", file=sys.stderr)
        return 2
    print(ready(server), flush=True)
    stopping.wait()
    server.stop()
    return 0
