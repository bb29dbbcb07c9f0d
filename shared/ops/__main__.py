"""`python -m shared.ops`: see `shared.ops`."""

from __future__ import annotations

import sys

from shared.ops import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
