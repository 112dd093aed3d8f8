"""The starter's towers of convolutions, beside the same networks on PyTorch's own convolutions.

    python benchmarks/convolutions.py

Both run on the same inputs in turn; the least time of the calling thread in a few rounds counts,
with one thread, so that other work on the machine disturbs little. The ceiling is a float32 matrix
product of 2048 × 2048 in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from flops import count_flops
from torch.nn import functional as F

import openbind

ROUNDS = 7
INPUTS = {
    "image, batch of 11": ("vision", (11, 3, 260, 260)),
    "image, single": ("vision", (1, 3, 260, 260)),
    "audio, batch of 16": ("audio", (16, 1, 96, 100)),
    "audio, clips of one sound": ("audio", (3, 1, 96, 100)),
    "depth, single": ("depth", (1, 1, 129, 129)),
}
"""Name → tower, and shape of its input."""


def seconds(function: Callable[[], object]) -> float:
    start = time.thread_time()
    function()
    return time.thread_time() - start


def plain(tower: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Compute without oneDNN's private operations, all rows at once."""
    with (
        patch("openbind.model.convolution._can_fuse", lambda *_: False),
        patch("openbind.model.memory.LARGEST_BLOCK", 1 << 40),
    ):
        output: torch.Tensor = tower(x)
    return output


def measure(tower: torch.nn.Module, x: torch.Tensor) -> tuple[float, float, float]:
    """Return seconds of plain and of our convolutions, and the least cosine of the outputs."""
    cosine = float(F.cosine_similarity(plain(tower, x).double(), tower(x).double()).min())
    rounds = [(seconds(lambda: plain(tower, x)), seconds(lambda: tower(x))) for _ in range(ROUNDS)]
    before, after = (min(times) for times in zip(*rounds, strict=True))
    return before, after, cosine


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    space = openbind.load("starter", device="cpu")
    square = torch.rand(2048, 2048)
    peak = 2 * 2048**3 / min(seconds(lambda: square @ square) for _ in range(ROUNDS))
    print(f"one thread, matrix product {peak / 1e9:.0f} GFLOP/s")
    print(f"{'':28}{'plain/s':>10}{'ours/s':>10}{'ratio':>8}{'of peak':>10}{'1 - cosine':>12}")
    for name, (tower, shape) in INPUTS.items():
        network, x = space.towers[tower], torch.rand(shape)
        before, after, cosine = measure(network, x)
        share = count_flops(lambda: network(x)) / after / peak  # noqa: B023 - called at once
        rates = f"{shape[0] / before:10.1f}{shape[0] / after:10.1f}"
        print(f"{name:28}{rates}{before / after:8.2f}{share:10.0%}{1 - cosine:12.0e}")


if __name__ == "__main__":
    main()
