"""Time and memory of the starter's drawing: one image, and four.

    python benchmarks/generate.py [--budget]

With `--budget` it fails where an image takes more than 2 s, four take more than 5 s, or the process
more than 1 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import openbind

SECONDS = {1: 2.0, 4: 5.0}
"""Images → longest time."""
MOST_MB = 1000
REPEATS = 3


def main() -> int:
    """Draw, print the best time of some, and compare with what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", action="store_true", help="fail where it is exceeded")
    options = parser.parse_args()
    space = openbind.load("starter", device="cpu", modalities=["text", "image"])
    vector_E = space.encode("text", "a strawberry")
    space.generate(vector_E, modality="text", n=1)
    within = True
    for count, limit in SECONDS.items():
        walls, cpus = [], []
        for seed in range(REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            space.generate(vector_E, modality="text", n=count, seed=seed)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        print(f"{count} image(s): {min(walls):.2f} s, CPU {min(cpus):.2f} s (limit {limit} s)")
        within = within and min(walls) <= limit
    used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory at its highest: {used_mb:.0f} MB (limit {MOST_MB} MB)")
    return 1 if options.budget and not (within and used_mb <= MOST_MB) else 0


if __name__ == "__main__":
    sys.exit(main())
