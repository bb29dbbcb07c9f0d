"""Runs `local.cli`: `python -m local`."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line; return the exit code, also when it is interrupted at once."""
    try:
        # Imported here because it takes a while, and Ctrl-C must work meanwhile.
        from local.cli import main

        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
