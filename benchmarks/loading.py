"""Measure time and memory to the first text vector from a file of ImageBind's size and format.

    python benchmarks/loading.py [FILE]

Without FILE, a file of random weights (4.8 GB) is written to the temporary directory and removed at
the end. Each method runs in its own process, twice; the better run counts. Memory is the peak above
that of the imports.

- plain: initialize all towers, read the whole file, copy the weights.
- all: `openbind.load(FILE)`.
- text: `openbind.load(FILE, modalities=["text"])`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tables import print_heads, print_row

RUNS = 2
HEAD = """
import json, resource, sys, time
import torch, openbind, openbind.catalog, openbind.checkpoints.imagebind
from openbind.checkpoints.imagebind_keys import HEADS, read_towers
from openbind.model.initial import initialize
from openbind.model.tower import Tower
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start, path = peak(), time.perf_counter(), sys.argv[1]
"""
TAIL = """
space.encode("text", "a dog")
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""
METHODS = {
    "plain": """
state = torch.load(path, weights_only=True)
for name, (config, weights) in read_towers(state, HEADS).items():
    tower = initialize(Tower(config))
    tower.load_state_dict(weights)
    globals()["tower_" + name] = tower
ids = torch.zeros(1, 77, dtype=torch.int64); ids[0, 1] = 49407
tower_text(ids)
print(json.dumps([time.perf_counter() - start, peak() - before]))
raise SystemExit
""",
    "all": 'space = openbind.load(path, device="cpu")',
    "text": 'space = openbind.load(path, modalities=["text"], device="cpu")',
}


def measure(method: str, path: Path) -> tuple[float, float]:
    """Return seconds and MB of a method, the better of its runs."""
    code = HEAD + METHODS[method] + TAIL
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
        )
        runs.append(json.loads(done.stdout))
    return min(seconds for seconds, _ in runs), min(megabytes for _, megabytes in runs)


def write_random(path: Path) -> None:
    """Write random weights of imagebind_huge as a state dict of the official format."""
    import torch

    from openbind.checkpoints.imagebind_keys import write_state
    from openbind.model.initial import initialize
    from openbind.model.tower import Tower
    from openbind.presets import imagebind_huge

    towers = {}
    for name, spec in imagebind_huge().towers.items():
        towers[name] = initialize(Tower(spec.config)).state_dict()
    scales = {"text": 100.0, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}
    torch.save(write_state(towers, scales), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--write", type=Path, help="write a file of random weights and exit")
    options = parser.parse_args()
    if options.write:
        write_random(options.write)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "imagebind_huge.pth"
        if options.file is None:
            # In its own process: a child inherits its parent's peak memory.
            subprocess.run([sys.executable, __file__, "--write", str(path)], check=True)
        results = {method: measure(method, path) for method in METHODS}
    seconds, megabytes = results["text"]
    print_heads("method", "first vector", "memory", "text only is")
    for name, (s, m) in results.items():
        ratios = f"{s / seconds:.1f} × faster, {m / megabytes:.1f} × less"
        print_row(name, f"{s:.1f} s", f"{m:,.0f} MB", ratios)


if __name__ == "__main__":
    main()
