"""Parts of a batch are as large as working memory allows, and only where that matters."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from openbind.model.memory import LARGEST_BLOCK, keep_freed_blocks, rows_at_once


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "mlp_width", "heads"), [(257, 5120, 16), (300, 64, 16)])
def test_largest_intermediate_fits(
    dtype: torch.dtype, tokens: int, mlp_width: int, heads: int
) -> None:
    """Neither the hidden layer nor the scores of a part exceed the limit; one sample more would."""
    with torch.no_grad():
        x_BND = torch.empty(64, tokens, 8, dtype=dtype, device="cpu")
        rows = rows_at_once(x_BND, mlp_width, heads)
    largest = max(tokens * mlp_width, heads * tokens * (tokens + 1)) * x_BND.element_size()
    assert rows * largest <= LARGEST_BLOCK < (rows + 1) * largest


def test_whole_batch() -> None:
    """With gradients, or off the CPU, a batch is not cut; a sample never is."""
    assert rows_at_once(torch.empty(64, 257, 8), 5120, 16) == 64
    with torch.no_grad():
        assert rows_at_once(torch.empty(64, 257, 8, device="meta"), 5120, 16) == 64
        assert rows_at_once(torch.empty(2, 9000, 8), 5120, 16) == 1


FAULTS = """
import resource, torch
from openbind.model.memory import keep_freed_blocks
keep_freed_blocks()
def block(): torch.empty(16 << 20, dtype=torch.uint8).fill_(1)
block(); block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep no blocks")
def test_freed_blocks_are_kept() -> None:
    """Once warm, a large block costs no page faults; counted in a process that does nothing else."""
    import resource

    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < (16 << 20) // resource.getpagesize() // 4
