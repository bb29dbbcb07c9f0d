"""Runs the Firestore server: `python -m local.emulators.firestore --port P --data DIR`."""

from __future__ import annotations

import sys

from local.emulators.command import make_parser, run
from local.emulators.firestore import serve

_SWITCH_SECONDS = 0.0005
"""Seconds that one thread may keep the interpreter. SQLite releases it at every row. Waiting
Python's usual 5 ms to get it again would slow down every request as soon as two arrive at once."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start."""
    options = make_parser("local.emulators.firestore", "Firestore").parse_args()
    sys.setswitchinterval(_SWITCH_SECONDS)
    return run(
        lambda: serve(**vars(options)),
        lambda server: f"Firestore listens on {server.address}, data in {options.data}",
    )


if __name__ == "__main__":
    sys.exit(main())
