"""Runs the storage server: `python -m local.emulators.storage`."""

from __future__ import annotations

import argparse
import logging
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from local.emulators.storage import InUse, serve
from local.emulators.storage.refusals import Refusal


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m local.emulators.storage",
        description="A Cloud Storage server for this machine.",
    )
    parser.add_argument("--port", type=int, required=True, help="to listen on; 0: any free")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the state")
    parser.add_argument(
        "--bucket",
        action="append",
        required=True,
        metavar="NAME",
        help="bucket that is made where missing; may be given more than once",
    )
    parser.add_argument(
        "--events",
        metavar="URL",
        help="where word of every new object is posted (as Eventarc does)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = serve(
            port=options.port,
            data=options.data,
            buckets=options.bucket,
            events=options.events,
            host=options.host,
        )
    except (InUse, OSError, sqlite3.DatabaseError, Refusal) as error:
        print(f"local.emulators.storage cannot start: {error}", file=sys.stderr)
        return 2
    print(f"storage on http://{options.host}:{server.port}", flush=True)
    stopping.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
