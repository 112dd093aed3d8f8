"""Batches are split by working memory, and only where that matters."""

from __future__ import annotations

import pytest
import torch

from openbind.model.memory import LARGEST_BLOCK, keep_freed_blocks, rows_at_once


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "mlp_width", "heads"), [(257, 5120, 16), (300, 64, 16)])
def test_largest_intermediate_fits(
    dtype: torch.dtype, tokens: int, mlp_width: int, heads: int
) -> None:
    """Neither the hidden layer nor the scores of a part exceed the limit; one more sample would."""
    with torch.no_grad():
        x_BND = torch.empty(64, tokens, 8, dtype=dtype, device="cpu")
        rows = rows_at_once(x_BND, mlp_width, heads)
    largest = max(tokens * mlp_width, heads * tokens * (tokens + 1)) * x_BND.element_size()
    assert rows * largest <= LARGEST_BLOCK < (rows + 1) * largest


def test_whole_batch() -> None:
    """With gradients, or on other devices, batches aren't split; samples never are."""
    assert rows_at_once(torch.empty(64, 257, 8), 5120, 16) == 64
    with torch.no_grad():
        assert rows_at_once(torch.empty(64, 257, 8, device="meta"), 5120, 16) == 64
        assert rows_at_once(torch.empty(2, 9000, 8), 5120, 16) == 1


def test_nothing_is_held() -> None:
    """Freeing a block first needs no memory: its pages are never touched."""
    resource = pytest.importorskip("resource", reason="Windows has no such module")
    keep_freed_blocks()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        keep_freed_blocks()
    touched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert touched * resource.getpagesize() < LARGEST_BLOCK
