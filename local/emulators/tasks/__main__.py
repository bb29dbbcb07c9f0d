"""Runs the tasks server: `python -m local.emulators.tasks`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from local.emulators.tasks import InUse, serve


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m local.emulators.tasks", description="A Cloud Tasks server for this machine."
    )
    parser.add_argument("--port", type=int, required=True, help="of the gRPC service; 0: any free")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the state")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--certs-port",
        type=int,
        default=0,
        help="HTTP port of the certificates that verify task tokens; 0: any free (%(default)s)",
    )
    parser.add_argument(
        "--tombstone-seconds",
        type=float,
        default=3600.0,
        help="how long the name of a finished or deleted task stays refused (%(default)g)",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = serve(
            data=options.data,
            host=options.host,
            port=options.port,
            certs_port=options.certs_port,
            tombstone_seconds=options.tombstone_seconds,
        )
    except (InUse, OSError, RuntimeError) as error:
        print(f"local.emulators.tasks cannot start: {error}", file=sys.stderr)
        return 2
    print(f"tasks on {options.host}:{server.port}, certificates on {server.certs_url}", flush=True)
    stopping.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
