"""Files per second for each modality of the starter, and where the time goes.

    python benchmarks/encode.py [--json]

Each modality's samples are repeated to a few hundred distinct items (a sample of noise is mixed
in, so that none is embedded once for all), then timed three ways in turn, the best of three
rounds: decoding and preprocessing alone, the tower alone on what that gave, and both together as
`space.encode` does them. FLOPs are counted by PyTorch on the tower's own pass; the ceiling is the
float32 matrix product of 2048 × 2048 measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.flop_counter import FlopCounterMode

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


def ceiling_flops() -> float:
    """Measure the float32 matrix product, in FLOP/s."""
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    torch.mm(a, b)
    return 2 * 2048**3 / best_seconds(lambda: torch.mm(a, b))


def measure(space: openbind.Space, modality: str, ceiling: float) -> dict[str, float]:
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
    with FlopCounterMode(display=False) as counter:
        space.embed_tensors({modality: batches[0]})
    flops = counter.get_total_flops() / len(batches[0]) * len(clips)
    both = best_seconds(lambda: space.encode(modality, items))
    return {
        "items": len(items),
        "clips": len(clips),
        "decode_per_s": len(items) / decode,
        "tower_per_s": len(items) / tower,
        "encode_per_s": len(items) / both,
        "tower_gflops": flops / tower / 1e9,
        "share_of_ceiling": flops / tower / ceiling,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    space = openbind.load("starter", device="cpu")
    ceiling = ceiling_flops()
    results = {modality: measure(space, modality, ceiling) for modality in space.modalities}
    if arguments.json:
        print(json.dumps({"ceiling_gflops": ceiling / 1e9, "modalities": results}, indent=1))
        return
    print(f"{torch.get_num_threads()} threads, matrix-product ceiling {ceiling / 1e9:.0f} GFLOP/s")
    print(f"{'modality':10}{'files/s':>10}{'decode/s':>10}{'tower/s':>10}{'of ceiling':>12}")
    for modality, r in results.items():
        print(
            f"{modality:10}{r['encode_per_s']:10.1f}{r['decode_per_s']:10.1f}"
            f"{r['tower_per_s']:10.1f}{r['share_of_ceiling']:12.0%}"
        )


if __name__ == "__main__":
    main()
