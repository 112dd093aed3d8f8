"""Working memory on CPUs: let the C library keep freed blocks.

glibc returns large freed blocks to the system, so that every page of the next one is faulted in
and zeroed again: up to a fifth of the time of a small tower. It keeps blocks up to the largest one
freed so far, but at most 32 MiB (mallopt(3), M_MMAP_THRESHOLD). So one block of that size is freed
first, and batches are split so that no intermediate is larger.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_BLOCK = 31 << 20
"""Bytes: glibc's limit less room for its own header and alignment."""


def keep_freed_blocks() -> None:
    """Let the C library keep freed blocks of up to `LARGEST_BLOCK` bytes; costs microseconds."""
    block = torch.empty(LARGEST_BLOCK, dtype=torch.uint8, device="cpu")
    del block


def rows_at_once(x_BND: Tensor, mlp_width: int, heads: int) -> int:
    """Return how many samples a trunk should process at once on this device.

    Args:
        x_BND: the tokens.
        mlp_width: width of the MLP's hidden layer.
        heads: attention heads, each with one score per pair of tokens.

    Returns:
        at least 1; the whole batch on other devices, and where gradients need all activations.
    """
    batch, tokens, _ = x_BND.shape
    if x_BND.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return max(batch, 1)
    row = tokens * max(mlp_width, heads * (tokens + 1)) * x_BND.element_size()
    return max(LARGEST_BLOCK // row, 1)
