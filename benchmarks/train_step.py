"""A training step with a cached frozen side, against one that runs the ViT-H on images.

Method: the audio ViT-B, depth ViT-S and IMU towers of `imagebind_huge` with random weights take
steps (forward, InfoNCE against the frozen side, backward, AdamW) with float32 weights, in bfloat16
autocast on processors that have it. "Not cached" first embeds a batch of images with the ViT-H
tower, as in inference. Both are measured alternately; the table has medians. The ceiling is that of
products in the precision of the step; FLOPs are counted by PyTorch.

`--profile` prints instead which operations the audio step's time goes to.

    python benchmarks/train_step.py [--towers audio] [--precision auto] [--profile]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from flops import ceiling, count_flops
from tables import print_heads, print_row

import openbind
from openbind.model.config import TowerConfig
from openbind.model.initial import initialize
from openbind.model.precision import fastest_dtype
from openbind.model.tower import Tower
from openbind.presets import imagebind_huge
from openbind.training.losses.info_nce import info_nce
from openbind.training.optimization import Schedule, build_optimizer, take_step

INPUTS = {"audio": (8, 1, 128, 204), "depth": (16, 1, 224, 224), "imu": (16, 6, 2000)}
KINDS = {
    "matrix products": ("mm", "linear", "conv"),
    "attention": ("attention", "softmax"),
    "GELU, LayerNorm": ("gelu", "layer_norm"),
    "AdamW, clipping": ("adamw", "foreach", "Optimizer"),
    "copies, casts": ("copy", "cat", "clone", "contiguous"),
}
"""What operations are, by parts of their names; the first that fits."""
BARS = {"audio": 3.3, "depth": 10.0, "imu": 10.0}


def make_step(
    config: TowerConfig, shape: tuple[int, ...], dtype: torch.dtype
) -> Callable[[], None]:
    """Return a function that takes one step of a new tower on one batch."""
    tower = initialize(Tower(config)).train()
    optimizer = build_optimizer(tower, Schedule(lr=1e-4, steps=1))
    x = torch.randn(shape)
    items_KE = F.normalize(torch.randn(shape[0], config.head.embed_dim), dim=1)

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            query_QE = F.normalize(tower(x).float(), dim=1)
        info_nce(query_QE, items_KE, 20.0).backward()
        take_step(optimizer, 1e-4, 1.0)

    return step


def seconds_of(run: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def print_profile(dtype: torch.dtype) -> None:
    """Print the share of the audio step's time that each kind of operation takes."""
    step = make_step(imagebind_huge().towers["audio"].config, INPUTS["audio"], dtype)
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    seconds: dict[str, float] = {}
    for event in profile.key_averages():
        kinds = (kind for kind, names in KINDS.items() if any(n in event.key for n in names))
        kind = next(kinds, "other")
        seconds[kind] = seconds.get(kind, 0.0) + event.self_cpu_time_total / 1e6
    print_heads("audio step", "time", "share")
    for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print_row(kind, f"{spent:.2f} s", f"{spent / sum(seconds.values()):.0%}")


def main() -> None:
    """Measure all towers and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument("--towers", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--profile", action="store_true", help="of the audio step")
    options = parser.parse_args()
    dtype = (
        fastest_dtype("cpu") if options.precision == "auto" else getattr(torch, options.precision)
    )
    if options.profile:
        print_profile(dtype)
        return
    space = openbind.load("imagebind_huge", weights="random", modalities=["image"], dtype=dtype)
    images = torch.randn(16, 3, 224, 224)
    towers = imagebind_huge().towers
    heads = ("patches dropped", "cached", "not cached", "ratio", "goal", "cached, of the ceiling")
    print(f"Steps in {str(dtype).removeprefix('torch.')}:")
    print_heads("tower", *heads)
    peak = ceiling(dtype)
    for name, shape in ((name, INPUTS[name]) for name in options.towers):
        frozen: list[float] = []
        for dropped in (0.0, 0.5):
            config = towers[name].config
            config = replace(config, trunk=replace(config.trunk, patch_dropout=dropped))
            step, batch = make_step(config, shape, dtype), images[: shape[0]]
            step()
            cached = []
            for _ in range(options.rounds):
                cached.append(seconds_of(step))
                if not dropped:  # the frozen side is the same
                    frozen.append(seconds_of(partial(space.embed_tensors, {"image": batch})))
            with_cache = median(cached)
            without = with_cache + median(frozen)
            goal = f"{BARS[name]:g} ×" if not dropped else ""
            times = f"{with_cache:.2f} s", f"{without:.2f} s", f"{without / with_cache:.1f} ×"
            share = f"{count_flops(step) / with_cache / peak:.0%}"
            print_row(name, f"{dropped:.0%}", *times, goal, share)


if __name__ == "__main__":
    main()
