"""`python -m local`: see `local.cli`."""

from __future__ import annotations

import sys


def run() -> int:
    """Do what the command line asks; return the exit code, also when that is broken off at once."""
    try:
        # Imported here because it takes a while, in which somebody may change their mind.
        from local.cli import main

        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
