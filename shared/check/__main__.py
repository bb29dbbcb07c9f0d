"""`python -m shared.check FILE…`: the check of an export file before it is sent."""

from __future__ import annotations

import sys

from shared.check.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
