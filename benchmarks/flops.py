"""Floating-point operations of a call, as PyTorch counts them, and the ceilings of products."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from openbind.model.int8 import Int8Linear

TOKENS, WIDTH, HIDDEN = 2048, 1280, 5120
"""Of the product that is the ceiling: the hidden layer of a ViT-H."""
ROUNDS = 10
Clock = Callable[[], float]


def count_flops(function: Callable[[], object]) -> float:
    """Return the operations of a call; those of convolutions by the direct algorithm.

    What PyTorch fuses into attention isn't counted on CPUs, nor are layers that drop out.
    """
    # oneDNN's operations aren't known to the counter.
    plain = [
        patch(f"openbind.model.{name}._can_fuse", lambda *_: False)
        for name in ("convolution", "linear")
    ]
    with plain[0], plain[1], FlopCounterMode(display=False) as counter:
        function()
    return float(counter.get_total_flops())


def best_times(
    sides: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Run all sides alternately; return the seconds of each one's best round."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for side, run in sides.items():
            start = clock()
            run()
            best[side] = min(best[side], clock() - start)
    return best


@torch.inference_mode()
def ceiling(dtype: torch.dtype = torch.float32, clock: Clock = time.perf_counter) -> float:
    """Measure a large matrix product, as `F.linear` runs it; in FLOP/s.

    With a clock of CPU time, it is the ceiling of a thread.
    """
    x, weight = torch.randn(TOKENS, WIDTH).to(dtype), torch.randn(HIDDEN, WIDTH).to(dtype)
    return _rate(lambda: F.linear(x, weight), clock)


@torch.inference_mode()
def byte_ceiling(clock: Clock = time.perf_counter) -> float:
    """Measure oneDNN's product of bytes of the same size, with one scale an output."""
    layer = Int8Linear.of(torch.nn.Linear(WIDTH, HIDDEN, bias=False))
    steps = torch.randint(0, 255, (TOKENS, WIDTH), dtype=torch.uint8)
    return _rate(lambda: layer._multiply(steps), clock)


def _rate(product: Callable[[], object], clock: Clock) -> float:
    product()
    return 2 * TOKENS * WIDTH * HIDDEN / best_times({"product": product}, ROUNDS, clock)["product"]
