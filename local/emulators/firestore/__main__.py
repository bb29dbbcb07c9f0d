"""Runs the Firestore server: `python -m local.emulators.firestore --port P --data DIR`."""

from __future__ import annotations

import argparse
import logging
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from local.emulators.firestore import InUse, serve

_SWITCH_SECONDS = 0.0005
"""Seconds that one thread may keep the interpreter. SQLite releases it at every row. Waiting
Python's usual 5 ms to get it again would slow down every request as soon as two arrive at once."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 1 if the server cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m local.emulators.firestore", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on, 0 for any")
    parser.add_argument("--data", type=Path, required=True, help="folder of the database")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    sys.setswitchinterval(_SWITCH_SECONDS)

    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: told.set())
    try:
        server = serve(port=options.port, data=options.data, host=options.host)
    except (InUse, OSError, sqlite3.DatabaseError) as error:
        print(f"Firestore cannot start: {error}", file=sys.stderr)
        return 1
    print(f"Firestore listens on {server.address}, data in {options.data}", flush=True)
    told.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
