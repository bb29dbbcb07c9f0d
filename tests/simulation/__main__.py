"""Runs histories at will: `python -m tests.simulation --seed 0 --runs 1000`.

Each seed is one history. A seed that breaks a promise is printed with all that happened in it, and
gives the same history again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.history import History
from tests.simulation.plans import plan
from tests.simulation.world import Failure

TOLD = 5
"""Failing seeds that are told of in full at most; the others only by number."""


def judge(seed: int) -> tuple[int, str, str | None]:
    """Run one history; returns its seed, its weather and what promise it has broken, if any."""
    history = History(seed, plan(seed))
    try:
        history.run()
    except Failure as failure:
        return seed, history.plan.weather, str(failure)
    return seed, history.plan.weather, None


def tell(seed: int) -> str:
    """Run a failing history once more and return all that happened in it."""
    history = History(seed, plan(seed), tracing=True)
    broken = "nothing, this time: something in it does not depend on the seed alone"
    try:
        history.run()
    except Failure as failure:
        broken = str(failure)
    settings = ", ".join(
        f"{name}={value}"
        for name, value in {**history.plan.settings, **history.plan.connection}.items()
    )
    lines = history.world.trace or []
    return "\n".join(
        (f"Seed {seed}, weather {history.plan.weather}, {settings}", *lines, f"Broken: {broken}")
    )


def main(arguments: Sequence[str]) -> int:
    """Run the histories that the command line asks for; 1 when one of them breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=int, default=1000, help="how many seeds from there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="tell of good histories as well")
    parsed = parser.parse_args(arguments)
    begun = time.monotonic()
    weathers: Counter[str] = Counter()
    failed: list[int] = []
    seeds = range(parsed.seed, parsed.seed + parsed.runs)
    with ProcessPoolExecutor(min(parsed.jobs, parsed.runs)) as pool:
        for seed, weather, broken in pool.map(judge, seeds, chunksize=min(20, len(seeds))):
            weathers[weather] += 1
            if broken is not None:
                failed.append(seed)
                print(f"seed {seed} ({weather}): {broken.splitlines()[0]}", flush=True)
    for seed in seeds if parsed.trace else failed[:TOLD]:
        print(f"\n{tell(seed)}")
    kinds = ", ".join(f"{count} {weather}" for weather, count in sorted(weathers.items()))
    seconds = time.monotonic() - begun
    print(f"\n{parsed.runs} histories ({kinds}) in {seconds:.0f} s, {len(failed)} failed.")
    if failed:
        print(f"Run one again: make simulate SEED={failed[0]} RUNS=1")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
