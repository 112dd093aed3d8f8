"""Losses of the logits of queries and items, in the memory of a few rows of them.

The loss is computed over chunks of queries, its gradients in the same pass, so that the matrix of
all logits is never stored. It is exact over several processes: each has its own queries, all have
the same items, and they exchange no more than one row of logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_LOGITS = 1 << 23
"""Logits in memory at once: 32 MiB of float32, and a few temporary copies."""

LOGITS_AT_ONCE = 1 << 19
"""Logits of a loss without chunks: 2 MiB of float32. With more, chunks are as fast."""

UNIT_TOLERANCE = 1e-2
"""Largest deviation of a norm from 1; rounding to bfloat16 stays within a third of it."""

Number = Tensor | float

Gather = Callable[[Tensor], Tensor]
"""Stacks a tensor of each process, all of one shape: (...) → (processes, ...)."""

Excluded = tuple[Tensor, Tensor]
"""Indices (int64) of queries and of items: pairs that are not contrasted."""

Part = Callable[[slice, Tensor], tuple[Tensor, Tensor]]
"""The rows and logits_PK of a chunk → its part of the loss, and the derivative by the logits."""


def gather_alone(x: Tensor) -> Tensor:
    """Return a tensor as stacked over one process: (...) → (1, ...)."""
    return x[None]


class _Chunked(torch.autograd.Function):
    """A loss of logits s q_i·k_j + b, with its gradients computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        query_QE: Tensor,
        items_KE: Tensor,
        scale: Number,
        bias: Number,
        part: Part,
        gather: Gather,
        known_QK: Tensor | None,
    ) -> Tensor:
        query, items, s, b = widen(query_QE, items_KE, scale, bias)
        for_query, for_items, for_scale, for_bias = ctx.needs_input_grad[:4]
        d_items = torch.zeros_like(items) if for_items else None
        pulls, sums = [], []  # each chunk's loss, and its derivatives by scale and bias if needed
        with without_autocast(query.device):
            for rows in _chunks(query, items):
                logits_PK = _logits(query[rows], items, s, b) if known_QK is None else known_QK
                part_loss, slope_PK = part(rows, logits_PK)
                found = [part_loss]
                if for_query or for_scale:
                    pulls.append(slope_PK @ items)
                if for_scale:
                    found.append((pulls[-1] * query[rows]).sum())
                if for_bias:
                    found.append(slope_PK.sum())
                sums.append(found)
                if d_items is not None:
                    d_items.addmm_(slope_PK.T, query[rows])
        none = [query.new_zeros(())] * (1 + for_scale + for_bias)
        total, processes = _sum_over_processes(sums or [none], gather)
        loss, *by_numbers = total
        d_bias = by_numbers.pop() if for_bias else None
        d_scale = by_numbers.pop() if for_scale else None
        d_query = None
        if for_query:
            d_query = pulls[0] if len(pulls) == 1 else torch.cat([query[:0], *pulls])
        for gradient in (d_query, d_items):
            if gradient is not None:
                # DDP and FSDP take the mean over processes, where the sum is wanted.
                gradient *= s * processes
        given = (query_QE, items_KE, scale, bias)
        gradients = (d_query, d_items, d_scale, d_bias)
        ctx.save_for_backward(*map(like_input, gradients, given))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return (*(g * upstream if needed else None for g, needed in gradients), None, None, None)


def chunked_loss(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    bias: Number,
    part: Part,
    gather: Gather,
    known_QK: Tensor | None = None,
) -> Tensor:
    """Compute a loss of the logits s q_i·k_j + b that is a sum over queries.

    Args:
        query_QE, items_KE: unit vectors.
        scale, bias: s and b; learned if they are tensors that need gradients.
        part: computes the loss of some queries and its derivative by their logits.
        gather: how processes exchange tensors.
        known_QK: the logits, if they are known; overwritten.

    Returns:
        the loss over the queries of all processes, a scalar tensor.
    """
    given = (query_QE, items_KE, scale, bias, part, gather, known_QK)
    loss: Tensor = _Chunked.apply(*given)  # type: ignore[no-untyped-call]
    return loss


def _sum_over_processes(sums: list[list[Tensor]], gather: Gather) -> tuple[list[Tensor], int]:
    """Add up numbers of chunks, and of all processes; returns them and how many processes."""
    own = (
        sums[0]
        if len(sums) == 1
        else [reduce(torch.add, parts) for parts in zip(*sums, strict=True)]
    )
    if gather is gather_alone:
        return own, 1
    every = gather(torch.stack(own))  # (processes, numbers)
    return list(every.sum(dim=0).unbind()), len(every)


def like_input(gradient: Tensor | None, value: Number) -> Tensor | None:
    """Return a gradient in the shape and type of its input, on its device."""
    if gradient is None or not isinstance(value, Tensor):
        return None
    return gradient.to(value).reshape(value.shape)


@torch.no_grad()
def log_sum_over_queries(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    gather: Gather,
    excluded: Excluded | None,
) -> tuple[Tensor, Tensor | None]:
    """Compute log Σ_i exp(s q_i·k_j) over the queries of all processes, for each item: (K,).

    Returns:
        the sums, and the logits if they are of one chunk, so that they are computed once.
    """
    logits_PK: Tensor | None = None
    query, items, s, b = widen(query_QE, items_KE, scale, 0.0)
    total_K: Tensor | None = None
    with without_autocast(query.device):
        for rows in _chunks(query, items):
            logits_PK = _logits(query[rows], items, s, b)
            exclude(logits_PK, rows, excluded)
            part_K = logits_PK.logsumexp(dim=0)
            total_K = part_K if total_K is None else torch.logaddexp(total_K, part_K, out=total_K)
    if total_K is None:  # no queries in this process
        total_K = items.new_full((len(items),), -torch.inf)
    every_K = gather(total_K)  # (processes, K)
    total_K = every_K.logsumexp(dim=0) if len(every_K) > 1 else every_K[0]
    # An item whose queries are all excluded has no positives either: any finite number will do.
    total_K = total_K.masked_fill_(total_K == -torch.inf, 0)
    return total_K, logits_PK if logits_PK is not None and len(logits_PK) == len(query) else None


def exclude(logits_PK: Tensor, rows: slice, excluded: Excluded | None) -> None:
    """Set the logits of excluded pairs to -inf: they add 0 to every sum and have no gradient."""
    if excluded is not None:
        queries, items = excluded
        mine = (rows.start <= queries) & (queries < rows.stop)
        logits_PK[queries[mine] - rows.start, items[mine]] = -torch.inf


def fits_at_once(query_QE: Tensor, items_KE: Tensor) -> bool:
    """Return whether a loss without chunks is faster."""
    return 0 < len(query_QE) * len(items_KE) <= LOGITS_AT_ONCE


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the precision that tensors have."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _logits(query_PE: Tensor, items_KE: Tensor, scale: Number, bias: Number) -> Tensor:
    logits_PK = (query_PE @ items_KE.T).mul_(scale)
    return logits_PK if isinstance(bias, float) and not bias else logits_PK.add_(bias)


def _chunks(query_QE: Tensor, items_KE: Tensor) -> Iterator[slice]:
    rows = max(1, CHUNK_LOGITS // len(items_KE))
    return (slice(start, start + rows) for start in range(0, len(query_QE), rows))


def widen(
    query_QE: Tensor, items_KE: Tensor, *numbers: Number
) -> tuple[Tensor, Tensor, Number, Number]:
    """Detach all, in their common type (float32 at least), on the device of the queries."""
    tensors = (value for value in (query_QE, items_KE, *numbers) if isinstance(value, Tensor))
    dtype = reduce(torch.promote_types, (value.dtype for value in tensors), torch.float32)
    scale, bias = (
        value.detach().to(query_QE.device, dtype) if isinstance(value, Tensor) else value
        for value in numbers
    )
    return query_QE.detach().to(dtype), items_KE.detach().to(query_QE.device, dtype), scale, bias


def check_inputs(query_QE: Tensor, items_KE: Tensor, target_Q: Tensor | None) -> Tensor:
    """Validate the inputs of a loss.

    Returns:
        target_Q, the index of each query's item; query i belongs to item i if it isn't given.

    Raises:
        ValueError: widths or shapes don't fit, rows aren't of unit length, a target is out of
            range, or no target is given and the numbers of rows differ.
    """
    num_queries, num_items = len(query_QE), len(items_KE)
    if query_QE.shape[1] != items_KE.shape[1]:
        raise ValueError(f"queries are {query_QE.shape[1]} wide, items {items_KE.shape[1]}")
    for side, rows in (("query", query_QE), ("item", items_KE)):
        check_norms(side, rows.detach())
    if target_Q is None:
        if num_queries != num_items:
            raise ValueError(
                f"{num_queries} queries and {num_items} items; target_Q must name each query's item"
            )
        return torch.arange(num_queries, device=query_QE.device)
    if target_Q.shape != (num_queries,) or target_Q.dtype != torch.int64:
        raise ValueError(
            f"targets: expected int64 ({num_queries},), one per query, "
            f"found {target_Q.dtype} {tuple(target_Q.shape)}"
        )
    invalid_Q = (target_Q < 0) | (target_Q >= num_items)
    if invalid_Q.any():
        query = int(invalid_Q.nonzero()[0])
        raise ValueError(
            f"target of query {query}: expected one of {num_items} items, "
            f"found {int(target_Q[query])}"
        )
    return target_Q


def check_norms(side: str, rows_NE: Tensor) -> None:
    """Check that rows are unit vectors, as temperatures assume.

    Raises:
        ValueError: one isn't.
    """
    norm_N = torch.linalg.vector_norm(
        rows_NE, dim=1, dtype=torch.promote_types(rows_NE.dtype, torch.float32)
    )
    off_N = ~((norm_N - 1).abs() <= UNIT_TOLERANCE)  # true of NaN too
    if off_N.any():
        row = int(off_N.nonzero()[0])
        raise ValueError(f"{side} {row}: expected a vector of length 1, found {norm_N[row]:.4g}")
