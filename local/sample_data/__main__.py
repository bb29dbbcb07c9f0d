"""Writes `samples/` again: `python -m local.sample_data`."""

import sys

from local.sample_data import SAMPLES, write

print(f"{write(SAMPLES)} files written to {SAMPLES}", file=sys.stderr)
