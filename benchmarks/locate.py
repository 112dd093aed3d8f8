"""Seconds to locate in an image after it is embedded, beside embedding it.

    python benchmarks/locate.py [--json]

The sample images one by one, each embedded first; then located in by a text, with `present` and
without. Medians over the images. FLOPs are counted by PyTorch; the peak is that of a float32 matrix
product of 2048 × 2048, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from flops import ceiling, count_flops

import openbind
from openbind.evaluation.samples import read_samples, samples_folder


def median_seconds(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Time a call for each item; return the median."""
    times = []
    for item in items:
        start = time.perf_counter()
        function(item)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(space: openbind.Space) -> dict[str, float]:
    """Return medians in seconds, and shares of the peak."""
    folder, peak = samples_folder(), ceiling()
    images = [i.content(folder) for i in read_samples(folder) if i.modality == "image"]
    query_E = space.encode("text", ["a dog"])[0]
    calls: dict[str, Callable[[Any], object]] = {
        "encode": lambda image: space.encode("image", image),
        "locate": lambda image: space.locate(image, query_E),
        "locate, present": lambda image: space.locate(image, query_E).present,
        "locate, plain": lambda image: space.locate(image, query_E, method="plain"),
    }
    found: dict[str, float] = {"threads": torch.get_num_threads(), "peak_gflops": peak / 1e9}
    for name, call in calls.items():
        call(images[0])
        seconds = median_seconds(call, images)
        found[name] = seconds
        flops = count_flops(lambda call=call: call(images[0]))  # type: ignore[misc]
        found[f"{name}, of peak"] = flops / seconds / peak
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(openbind.load("starter", device="cpu"))
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['threads']} threads, matrix-product peak {found['peak_gflops']:.0f} GFLOP/s")
    print(f"{'':18}{'seconds':>9}{'of encode':>11}{'of peak':>9}")
    for name in ("encode", "locate", "locate, present", "locate, plain"):
        share = found[name] / found["encode"]
        print(f"{name:18}{found[name]:9.3f}{share:11.2f}{found[f'{name}, of peak']:9.0%}")


if __name__ == "__main__":
    main()
