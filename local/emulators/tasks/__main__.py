"""Runs the tasks server: `python -m local.emulators.tasks`."""

from __future__ import annotations

import sys

from local.emulators.command import make_parser, run
from local.emulators.tasks import serve


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start."""
    parser = make_parser("local.emulators.tasks", "Cloud Tasks")
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
    return run(
        lambda: serve(**vars(options)),
        lambda server: f"tasks on {options.host}:{server.port}, certificates on {server.certs_url}",
    )


if __name__ == "__main__":
    sys.exit(main())
