"""`python -m tests.fuzz`: look for inputs that break what must hold for any name and any file.

An input that is found is made as small as it can be, and printed with the command that replays it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.fuzz.hunt import TARGETS, hunt, replay

BROKEN = 1
EXAMPLES = 300
"""Inputs of one seed."""


def main(arguments: Sequence[str]) -> int:
    """Run; returns 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to look")
    parser.add_argument("--seed", type=int, help="the seed to begin with (else: any)")
    parser.add_argument(
        "--replay",
        nargs=2,
        metavar=("TARGET", "HEX"),
        help=f"check one input again; TARGET is one of {', '.join(TARGETS)}",
    )
    parsed = parser.parse_args(arguments)
    if parsed.replay:
        target, octets = parsed.replay
        if target not in TARGETS:
            parser.error(f"there is no target {target}")
        replay(target, bytes.fromhex(octets))
        print("It holds.")
        return 0

    seed = random.SystemRandom().randrange(10**9) if parsed.seed is None else parsed.seed
    deadline = time.monotonic() + parsed.seconds
    tried = 0
    while True:
        for target in TARGETS:
            found = hunt(target, seed=seed, examples=EXAMPLES)
            tried += EXAMPLES
            if found is not None:
                print(f"{target}, seed {seed}: {type(found.error).__name__}: {found.error}")
                print(f"  the smallest input that shows it: {found.data!r}")
                print(f"  again: {sys.executable} -m tests.fuzz --replay {target} {found.hex}")
                return BROKEN
        seed += 1
        if time.monotonic() >= deadline:
            print(f"{tried:,} inputs, up to seed {seed - 1}: all holds.")
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
