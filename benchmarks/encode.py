"""Files per second for each modality of the starter, and the time of each stage.

    python benchmarks/encode.py [--json]

The samples of each modality are measured in three ways in turn, the best of three rounds: decoding
and preprocessing alone, the tower alone on the preprocessed tensors, and `space.encode`, which does
both. FLOPs are counted by PyTorch in the tower's forward pass; the peak is that of a float32 matrix
product of 2048 × 2048, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from flops import count_flops

import openbind
from openbind.evaluation.samples import read_samples, samples_folder

ROUNDS = 3


def best_seconds(function: Callable[[], object]) -> float:
    """Time the quickest of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_flops() -> float:
    """Measure the float32 matrix product, in FLOP/s."""
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    torch.mm(a, b)
    return 2 * 2048**3 / best_seconds(lambda: torch.mm(a, b))


def measure(space: openbind.Space, modality: str, peak: float) -> dict[str, float]:
    folder = samples_folder()
    items = [i.content(folder) for i in read_samples(folder) if i.modality == modality]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        decode = best_seconds(
            lambda: list(pool.map(lambda item: space.preprocess(modality, [item]), items))
        )
    clips = (
        [c for item in items for c in space.preprocess(modality, [item]).flatten(0, 1).split(1)]
        if modality == "audio"
        else [space.preprocess(modality, [item]) for item in items]
    )
    batches = [torch.cat(clips[i : i + 32]) for i in range(0, len(clips), 32)]
    tower = best_seconds(lambda: [space.embed_tensors({modality: b}) for b in batches])
    flops = count_flops(lambda: space.embed_tensors({modality: batches[0]}))
    flops *= len(clips) / len(batches[0])
    both = best_seconds(lambda: space.encode(modality, items))
    return {
        "items": len(items),
        "clips": len(clips),
        "decode_per_s": len(items) / decode,
        "tower_per_s": len(items) / tower,
        "encode_per_s": len(items) / both,
        "tower_gflops": flops / tower / 1e9,
        "fraction_of_peak": flops / tower / peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    space = openbind.load("starter", device="cpu")
    peak = peak_flops()
    results = {modality: measure(space, modality, peak) for modality in space.modalities}
    if arguments.json:
        print(json.dumps({"peak_gflops": peak / 1e9, "modalities": results}, indent=1))
        return
    print(f"{torch.get_num_threads()} threads, matrix-product peak {peak / 1e9:.0f} GFLOP/s")
    print(f"{'modality':10}{'files/s':>10}{'decode/s':>10}{'tower/s':>10}{'of peak':>12}")
    for modality, r in results.items():
        print(
            f"{modality:10}{r['encode_per_s']:10.1f}{r['decode_per_s']:10.1f}"
            f"{r['tower_per_s']:10.1f}{r['fraction_of_peak']:12.0%}"
        )


if __name__ == "__main__":
    main()
