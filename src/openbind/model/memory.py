"""Working memory: let the C library keep freed blocks, and return what lies idle.

glibc returns large freed blocks to the system, so that every page of the next one is faulted in
and zeroed again: up to a fifth of the time of a small tower. It keeps blocks up to the largest one
freed so far, but at most 32 MiB (mallopt(3), M_MMAP_THRESHOLD). So one block of that size is freed
first, and batches are split so that no intermediate is larger.

What is kept fragments: small results lie between large blocks, which others allocate and free, and
a process would grow with the length of its work. So the free pages are returned every now and then
(`release_free`). With other C libraries all of this does nothing.
"""

from __future__ import annotations

import ctypes
import math
import sys

import torch
from torch import Tensor

LARGEST_BLOCK = 31 << 20
"""Bytes: glibc's limit less room for its own header and alignment."""


def keep_freed_blocks() -> None:
    """Let the C library keep freed blocks of up to `LARGEST_BLOCK` bytes; costs microseconds."""
    block = torch.empty(LARGEST_BLOCK, dtype=torch.uint8, device="cpu")
    del block


def release_free() -> bool:
    """Return free memory to the system; costs milliseconds.

    Returns:
        whether there was any.
    """
    try:
        return bool(c_library().malloc_trim(0))
    except (AttributeError, OSError):
        return False


def c_library() -> ctypes.CDLL:
    """Return the C library.

    Raises:
        OSError: it can't be glibc.
    """
    if not sys.platform.startswith("linux"):
        raise OSError("not glibc")
    return ctypes.CDLL(None)


def split_batch(x: Tensor, row_bytes: float) -> tuple[Tensor, ...]:
    """Split a batch evenly into parts that a tower should process in turn on this device.

    Args:
        x: (B, ...).
        row_bytes: of the largest intermediate of one sample.

    Returns:
        views; the whole batch on other devices, and where gradients need all activations.
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return (x,)
    parts = math.ceil(len(x) * row_bytes / LARGEST_BLOCK)
    return x.tensor_split(min(max(parts, 1), max(len(x), 1)))


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
