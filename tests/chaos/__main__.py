"""The faults that operators and attackers bring about, at random: `make chaos`.

    python -m tests.chaos [--seed N] [--times 1.0] [--only kills_of_training ...]

Everything random follows from the seed, which is printed, and the machine's speed.
"""

import argparse
import pathlib
import random
import sys
import tempfile
import time
import traceback

from tests.chaos import cases, fuzz, memory
from tests.chaos.world import World

# How often each: what two cores do in ten minutes together.
TIMES = {
    "kills_of_training": 12, "kills_of_learning": 4, "kills_of_exports": 4, "kills_of_updates": 10,
    "full_disks": 4, "read_only": 1, "two_jobs": 2, "changed_data": 3, "damaged_caches": 4,
    "interruptions": 5, "closed_pipes": 1, "files": 200, "requests": 2000, "memory": 20,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="Default: a new one.")
    parser.add_argument("--times", type=float, default=1.0, help="How often, of the usual number.")
    parser.add_argument("--only", nargs="+", choices=TIMES, default=list(TIMES))
    parser.add_argument("--seconds", type=float, default=fuzz.SECONDS, help="Most for one input.")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    failed = []
    with tempfile.TemporaryDirectory(prefix="rankup_keras_chaos_") as name:
        folder = pathlib.Path(name)
        world = World(folder, random.Random(seed), print)
        print(f"undisturbed training: {world.seconds:.1f} s", flush=True)
        for case in given.only:
            # Of its own seed, whatever ran before it.
            world.random = random.Random(f"{seed} {case}")
            count, begun = max(1, round(TIMES[case] * given.times)), time.monotonic()
            try:
                if case == "files":
                    place = folder / "fuzz"
                    place.mkdir()
                    found = fuzz.files(place, world.random, count, given.seconds)
                elif case == "requests":
                    base = folder / "served"
                    world.check(["export", "--run", "whole", "--output", base, "--quiet"])
                    found = fuzz.requests(base, world.random, count, given.seconds)
                elif case == "memory":
                    found = memory.flat(folder / "whole/model.keras", count)
                else:
                    found = getattr(cases, case)(world, count)
            except Exception:
                failed.append(case)
                found = f"FAILED\n{traceback.format_exc()}"
            print(f"{case}: {found} ({time.monotonic() - begun:.0f} s)", flush=True)
    print(f"seed {seed}: {'all held' if not failed else f'FAILED: {failed}'}", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
