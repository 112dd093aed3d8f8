"""Memory, time and gradients of the chunked InfoNCE against the plain one.

Method: each variant runs forward and backward in its own process, with gradients of both sides;
extra memory is the process's peak above its memory with the inputs. The gradients are compared at a
smaller batch, relative to the largest entry.

    python benchmarks/loss.py [--pairs 16384] [--dim 1024]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from flops import ceiling
from tables import print_heads, print_row
from torch import Tensor

from openbind.training.losses.info_nce import info_nce

SCALE = 20.0
PRODUCTS = 3
"""Logits, and their gradients for both sides."""


def plain_info_nce(query_QE: Tensor, items_KE: Tensor, scale: float) -> Tensor:
    """Compute the loss as in papers: all logits at once, both directions."""
    logits_QK = scale * query_QE @ items_KE.T
    target_Q = torch.arange(len(query_QE))
    return (F.cross_entropy(logits_QK, target_Q) + F.cross_entropy(logits_QK.T, target_Q)) / 2


LOSSES = {"plain": plain_info_nce, "chunked": info_nce}


def make_inputs(pairs: int, dim: int) -> tuple[Tensor, Tensor]:
    """Return two sides of random unit vectors."""
    generator = torch.Generator().manual_seed(0)
    sides = [F.normalize(torch.randn(pairs, dim, generator=generator), dim=1) for _ in range(2)]
    return sides[0].requires_grad_(), sides[1].requires_grad_()


def memory_mib(field: str) -> float:
    """Return this process's memory: VmRSS is the current one, VmHWM the peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def measure(name: str, pairs: int, dim: int) -> None:
    """Run one variant in this process; print seconds and extra MiB."""
    query_QE, items_KE = make_inputs(256, dim)
    LOSSES[name](query_QE, items_KE, SCALE).backward()  # libraries allocate now
    query_QE, items_KE = make_inputs(pairs, dim)
    before, started = memory_mib("VmRSS"), time.perf_counter()
    LOSSES[name](query_QE, items_KE, SCALE).backward()
    print(f"{time.perf_counter() - started:.2f} {memory_mib('VmHWM') - before:.0f}")


def largest_difference(pairs: int, dim: int) -> float:
    """Compare the gradients of both variants."""
    found = []
    for loss in LOSSES.values():
        sides = make_inputs(pairs, dim)
        loss(*sides, SCALE).backward()
        found.append(torch.cat([side.grad for side in sides if side.grad is not None]))
    return float((found[0] - found[1]).abs().max() / found[0].abs().max())


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=16_384)
    parser.add_argument("--dim", type=int, default=1_024)
    parser.add_argument("--variant", choices=list(LOSSES), help="run this one here, for the table")
    options = parser.parse_args()
    if options.variant:
        measure(options.variant, options.pairs, options.dim)
        return
    size = ["--pairs", str(options.pairs), "--dim", str(options.dim)]
    print_heads(
        f"InfoNCE over {options.pairs:,} pairs",
        "extra memory",
        "of plain",
        "time",
        "of plain",
        "of the ceiling",
    )
    peak = ceiling()
    plain: tuple[float, float] | None = None
    for name in LOSSES:
        command = [sys.executable, __file__, "--variant", name, *size]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, mib = map(float, done.stdout.split())
        plain = plain or (seconds, mib)
        of_plain = f"{mib / plain[1]:.2f}", f"{seconds / plain[0]:.2f}"
        share = PRODUCTS * 2 * options.pairs**2 * options.dim / seconds / peak
        print_row(
            name, f"{mib:,.0f} MiB", of_plain[0], f"{seconds:.1f} s", of_plain[1], f"{share:.0%}"
        )
    difference = largest_difference(4096, 1024)
    print(f"\nGradients of 4,096 pairs differ by at most {difference:.1e} of the largest entry.")


if __name__ == "__main__":
    main()
