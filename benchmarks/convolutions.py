"""The starter's towers of convolutions, beside the same networks on PyTorch's own convolutions.

    python benchmarks/convolutions.py

Both run on the same inputs in turn; the least time of the calling thread in a few rounds counts,
with one thread, so that other work on the machine disturbs little. The ceiling is a float32 product
(`machine.py`) in the same run; operations are those of the direct algorithm, of which Winograd's
needs a part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from flops import ceiling, count_flops
from tables import print_heads, print_row
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
    peak = ceiling(clock=time.thread_time)
    print(f"One thread, whose ceiling is {peak / 1e9:.0f} GFLOP/s; clips a CPU second:")
    print_heads("", "PyTorch's", "ours", "ratio", "of the ceiling", "1 − cosine")
    for name, (tower, shape) in INPUTS.items():
        network, x = space.towers[tower], torch.rand(shape)
        before, after, cosine = measure(network, x)
        share = count_flops(lambda: network(x)) / after / peak  # noqa: B023 - called at once
        rates = f"{shape[0] / before:.1f}", f"{shape[0] / after:.1f}"
        print_row(name, *rates, f"{before / after:.2f} ×", f"{share:.0%}", f"{1 - cosine:.0e}")


if __name__ == "__main__":
    main()
