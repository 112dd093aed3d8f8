"""Towers of `imagebind_huge` in 8 bits beside float32 and bfloat16, and what retrieval loses.

    python benchmarks/int8.py [--towers audio text] [--batch 8] [--rounds 3]

Towers have random weights and true size, one at a time. All precisions alternate in one process of
one thread, and the least processor time counts, so that other work disturbs little; bfloat16 is
timed only where the processor has instructions for it. "Products" is the float32 time of the four
products of a block over their time in 8 bits. Then the starter's texts, whose weights are real.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from flops import best_times, byte_ceiling
from tables import print_heads, print_row
from torch import Tensor
from towers import CASES, TEXT_TOKENS, gflop

import openbind
from openbind.evaluation.samples import read_samples, samples_folder
from openbind.model.initial import initialize
from openbind.model.int8 import Int8Linear, is_fast, quantize
from openbind.model.linear import linear
from openbind.model.precision import fastest_dtype
from openbind.model.tower import Tower

NEAREST = 10


def main() -> None:
    """Measure all towers, then texts; print Markdown rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--towers", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not is_fast("cpu"):
        raise SystemExit("this processor has no products of bytes (VNNI, AMX)")
    has_half = fastest_dtype("cpu") == torch.bfloat16
    torch.set_num_threads(1)  # several wait for each other, which counts as processor time
    peak = byte_ceiling(time.process_time)
    print(
        f"Batches of {options.batch}, one thread, whose ceiling is {peak / 1e9:.0f} GOP of bytes:"
    )
    shares = ("products to float32", "of the bytes' ceiling", "of float32's memory", "least cosine")
    print_heads("tower", "to float32", "to bfloat16", *shares)
    for name in options.towers:
        print_row(name, *measure(name, options.batch, options.rounds, has_half, peak))
    measure_texts(options.rounds)


@torch.inference_mode()
def measure(name: str, batch: int, rounds: int, has_half: bool, peak: float) -> list[str]:
    """Return the cells of a tower's row."""
    config, clips, make = CASES[name]
    exact = initialize(Tower(config), torch.Generator().manual_seed(0)).eval()
    x = make(batch * clips)
    runs: dict[str, Callable[[], Tensor]] = {"float32": lambda: exact(x)}
    if has_half:
        half = Tower(config).eval()
        half.load_state_dict(exact.state_dict())
        half.bfloat16()
        runs["bfloat16"] = lambda: half(x.bfloat16() if x.is_floating_point() else x)
    small = Tower(config).eval()
    small.load_state_dict(exact.state_dict(), assign=True)
    quantize(small, [make(2)])
    runs["int8"] = lambda: small(x)
    best = best_times(runs, rounds, time.process_time)
    cosine = float(F.cosine_similarity(exact(x), small(x)).min())
    tokens = TEXT_TOKENS if config.trunk.causal else exact.stem(x[:1]).shape[1]
    share = size(small) / size(exact)
    to_half = f"{best['bfloat16'] / best['int8']:.2f} ×" if has_half else "–"
    ratio = products(config.trunk.width, config.trunk.mlp_width, tokens * batch * clips, rounds)
    operations = 1e9 * batch * clips * gflop(config.trunk, tokens)
    return [
        f"{best['float32'] / best['int8']:.2f} ×",
        to_half,
        f"{ratio:.2f} ×",
        f"{operations / best['int8'] / peak:.0%}",
        f"{share:.0%}",
        f"{cosine:.4f}",
    ]


def products(width: int, mlp_width: int, tokens: int, rounds: int) -> float:
    """Return how many times as fast as in float32 a block's products are in 8 bits."""
    shapes = [(width, 3 * width), (width, width), (width, mlp_width), (mlp_width, width)]
    exact, small = 0.0, 0.0
    for inputs, outputs in shapes:
        layer, x = torch.nn.Linear(inputs, outputs), torch.randn(min(tokens, 2048), inputs)
        quantized = Int8Linear.of(layer)
        runs: dict[str, Callable[[], Tensor]] = {
            "exact": partial(linear, x, layer.weight, layer.bias),
            "small": partial(quantized, x),
        }
        best = best_times(runs, rounds + 2, time.process_time)
        exact, small = exact + best["exact"], small + best["small"]
    return exact / small


def size(tower: torch.nn.Module) -> int:
    """Return the bytes of a tower's weights."""
    return sum(value.nbytes for value in tower.state_dict().values())


def measure_texts(rounds: int) -> None:
    """Print what 8 bits change in the starter's texts: speed, cosines, retrieval."""
    exact = openbind.load("starter", modalities=["text", "image", "audio"], device="cpu")
    small = openbind.load("starter", modalities=["text"], device="cpu", dtype="int8")
    rows, folder = read_samples(samples_folder()), samples_folder()
    texts = [row for row in rows if row.modality == "text"]
    captions = [row.title for row in texts] * 4
    best = best_times(
        {
            "exact": lambda: exact.encode("text", captions),
            "small": lambda: small.encode("text", captions),
        },
        rounds,
        time.process_time,
    )
    exact_NE, small_NE = (s.encode("text", captions[: len(texts)]) for s in (exact, small))
    cosine = (exact_NE * small_NE).sum(axis=1).min()
    heads = (f"R@{NEAREST}, float32", "8 bits", "speed to float32", "least cosine")
    print_heads("the starter's texts, whose weights are real", *heads)
    for modality in ("image", "audio"):
        found = [row for row in rows if row.modality == modality]
        items_NE = exact.encode(modality, [folder / row.path for row in found])
        concepts = np.array([row.concept for row in found])
        wanted = np.array([row.concept for row in texts])
        known = np.isin(wanted, concepts)
        recalls = [
            recall(vectors_NE[known] @ items_NE.T, wanted[known], concepts)
            for vectors_NE in (exact_NE, small_NE)
        ]
        name = f"{known.sum()} texts → {len(found)} {modality} items"
        speed = f"{best['exact'] / best['small']:.2f} ×"
        print_row(name, *(f"{value:.3f}" for value in recalls), speed, f"{cosine:.4f}")


def recall(scores_QN: np.ndarray, wanted: np.ndarray, concepts: np.ndarray) -> float:
    """Return the fraction of queries with an item of their concept among the nearest."""
    nearest_QN = np.argsort(-scores_QN, axis=1)[:, :NEAREST]
    return float((concepts[nearest_QN] == wanted[:, None]).any(axis=1).mean())


if __name__ == "__main__":
    main()
