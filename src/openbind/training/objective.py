"""The losses that bind two modalities: symmetric InfoNCE, and SigLIP's sigmoid.

Both walk over chunks of queries and find their gradients on the way, so the table of all queries by
all items is never held. Both are exact over several processes: each brings its own queries, all
know the items, and only numbers of the size of one query or one row of logits travel between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK_LOGITS = 1 << 23
"""Logits held at once: 32 MiB of float32, and a few times that while they are worked on."""

UNIT_TOLERANCE = 1e-2
"""How far a length may be from 1; rows rounded to bfloat16 stay within a third of it."""

Gather = Callable[[Tensor], Tensor]
"""Stacks what all processes bring, tensors of one shape (...) → (processes, ...)."""

Excluded = tuple[Tensor, Tensor]
"""Indices (int64) of queries and of items: pairs that aren't contrasted."""

Part = Callable[[slice, Tensor], tuple[Tensor, Tensor]]
"""Some queries and their logits_CK → their share of the loss, and its derivative by the logits."""


def gather_alone(x: Tensor) -> Tensor:
    """Stack what the only process brings: (...) → (1, ...)."""
    return x[None]


def info_nce(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor | float,
    target_Q: Tensor | None = None,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Contrast each query with all items, and each matched item with all queries.

    With q_i the queries, k_j the items, t(i) the item of query i and s the scale (1 / temperature):

        L(q, k) = −1/Q Σ_i log( exp(s q_i·k_t(i)) / Σ_j exp(s q_i·k_j) )
        loss    = ( L(q, k) + L(k, q) ) / 2

    This is ImageBind's L_{I,M} + L_{M,I} (Girdhar et al. 2023, arXiv:2305.05665, section 3.1,
    equation 1), halved as in CLIP so that its size does not depend on the symmetry. Both sides must
    be of unit length already: the paper's temperature assumes cosines.

    Several queries may share an item: in the reverse direction all of an item's queries are its
    matches, and their log-probabilities are averaged. Items without a query are negatives alone.

    Over several processes each brings its own queries (their number may differ) and the same items.
    Each gets the loss of all queries. The gradients are such that their mean over processes, which
    DDP and FSDP take, is that of one process with all queries; the scale's is so already in each.

    Args:
        query_QE: unit vectors, of this process.
        items_KE: unit vectors, the same in all processes.
        scale: 1 / temperature, greater than 0; a tensor may be learned.
        target_Q: int64, the index of each query's item; by default query i belongs to item i.
        gather: how processes exchange tensors; by default there is one.
        excluded: pairs of a query and an item that isn't its target, left out of all sums: other
            positives of the query, which are no negatives.

    Returns:
        the loss, a scalar tensor, computed in float32 at least.

    Raises:
        ValueError: widths or shapes don't fit, rows aren't of unit length, a target is of no item,
            or no target is given and the numbers of rows differ.
    """
    target_Q = _check(query_QE, items_KE, target_Q)
    total_K = _log_sum_over_queries(query_QE, items_KE, scale, gather, excluded)
    queries_K = gather(torch.bincount(target_Q, minlength=len(items_KE))).sum(dim=0).to(total_K)
    matched_K = (queries_K > 0).to(total_K)
    # What one query's log-probability counts, one item's, and one query's as a match of its item.
    weight = 0.5 / queries_K.sum()
    weight_K = 0.5 / matched_K.sum() * matched_K
    shared_Q = (weight_K / queries_K.clamp(min=1))[target_Q]

    def part(rows: slice, logits_CK: Tensor) -> tuple[Tensor, Tensor]:
        _exclude(logits_CK, rows, excluded)
        target_C, shared_C = target_Q[rows], shared_Q[rows]
        match = (torch.arange(len(target_C), device=target_C.device), target_C)
        matched_C = logits_CK[match]
        total_C = logits_CK.logsumexp(dim=1)
        forward = weight * (total_C - matched_C)
        backward = shared_C * (total_K[target_C] - matched_C)
        slope_CK = (logits_CK - total_C[:, None]).exp_().mul_(weight)
        slope_CK += logits_CK.sub_(total_K).exp_().mul_(weight_K)
        slope_CK[match] -= weight + shared_C
        return (forward + backward).sum(), slope_CK

    return _apply(query_QE, items_KE, scale, 0.0, part, gather)


def sigmoid_loss(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    target_Q: Tensor | None = None,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Ask of each query and each item whether they belong together.

    With q_i the queries, k_j the items, z_ij = 1 where item j is that of query i and −1 elsewhere,
    s the scale and b the bias:

        loss = −1/Q Σ_i Σ_j log sigmoid( z_ij (s q_i·k_j + b) )

    This is SigLIP's loss (Zhai et al. 2023, arXiv:2303.15343, equation 1 with the sign of the bias
    as in their algorithm 1, where it starts at −10 and the scale at 10).

    Several queries may share an item; items without a query are negatives alone. Processes share
    the work as in `info_nce`; the gradients of scale and bias are whole in each.

    Args:
        query_QE: unit vectors, of this process.
        items_KE: unit vectors, the same in all processes.
        scale: factor of the cosines, greater than 0; a tensor may be learned.
        bias: added to the scaled cosines; a tensor may be learned.
        target_Q: int64, the index of each query's item; by default query i belongs to item i.
        gather: how processes exchange tensors; by default there is one.
        excluded: pairs of a query and an item that isn't its target, left out of all sums: other
            positives of the query, which are no negatives.

    Returns:
        the loss, a scalar tensor, computed in float32 at least.

    Raises:
        ValueError: as `info_nce`.
    """
    target_Q = _check(query_QE, items_KE, target_Q)
    num_queries = gather(torch.tensor(len(query_QE), device=query_QE.device)).sum()

    def part(rows: slice, logits_CK: Tensor) -> tuple[Tensor, Tensor]:
        _exclude(logits_CK, rows, excluded)
        target_C = target_Q[rows]
        match = (torch.arange(len(target_C), device=target_C.device), target_C)
        logits_CK[match] *= -1  # now −z_ij (s q_i·k_j + b): −log sigmoid(−x) is softplus(x)
        loss = F.softplus(logits_CK).sum() / num_queries
        slope_CK = logits_CK.sigmoid_().div_(num_queries)
        slope_CK[match] *= -1
        return loss, slope_CK

    return _apply(query_QE, items_KE, scale, bias, part, gather)


class _Chunked(torch.autograd.Function):
    """A loss of logits s q_i·k_j + b, chunk by chunk, with the gradients found on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        query_QE: Tensor,
        items_KE: Tensor,
        scale: Tensor | float,
        bias: Tensor | float,
        part: Part,
        gather: Gather,
    ) -> Tensor:
        query, items, s, b = _widen(query_QE, items_KE, scale, bias)
        for_query, for_items, for_scale, _ = ctx.needs_input_grad[:4]
        d_query = torch.empty_like(query) if for_query else None
        d_items = torch.zeros_like(items) if for_items else None
        sums = s.new_zeros(3)  # the loss, its derivatives by scale and bias
        with torch.autocast(query.device.type, enabled=False):
            for rows in _chunks(query, items):
                share, slope_CK = part(rows, _logits(query[rows], items, s, b))
                sums[0] += share
                sums[2] += slope_CK.sum()
                if for_query or for_scale:
                    pull_CE = slope_CK @ items
                    sums[1] += (pull_CE * query[rows]).sum()
                    if d_query is not None:
                        d_query[rows] = pull_CE
                if d_items is not None:
                    d_items.addmm_(slope_CK.T, query[rows])
        every_sums = gather(sums)  # (processes, 3)
        loss, d_scale, d_bias = every_sums.sum(dim=0).unbind()
        for gradient in (d_query, d_items):
            if gradient is not None:
                # Times the processes: their mean is to be the sum of their shares.
                gradient *= s * len(every_sums)
        given = (query_QE, items_KE, scale, bias)
        found = (d_query, d_items, d_scale, d_bias)
        ctx.save_for_backward(*map(_as_given, found, given))
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return (*(g * upstream if needed else None for g, needed in gradients), None, None)


def _apply(*arguments: Tensor | float | Part | Gather) -> Tensor:
    loss: Tensor = _Chunked.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


def _as_given(gradient: Tensor | None, value: Tensor | float) -> Tensor | None:
    """Return a gradient the shape, type and device of what it is by."""
    if gradient is None or not isinstance(value, Tensor):
        return None
    return gradient.to(value).reshape(value.shape)


@torch.no_grad()
def _log_sum_over_queries(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor | float,
    gather: Gather,
    excluded: Excluded | None,
) -> Tensor:
    """Compute log Σ_i exp(s q_i·k_j) over the queries of all processes, for each item: (K,)."""
    query, items, s, b = _widen(query_QE, items_KE, scale, 0.0)
    total_K = items.new_full((len(items),), -torch.inf)
    with torch.autocast(query.device.type, enabled=False):
        for rows in _chunks(query, items):
            logits_CK = _logits(query[rows], items, s, b)
            _exclude(logits_CK, rows, excluded)
            torch.logaddexp(total_K, logits_CK.logsumexp(dim=0), out=total_K)
    total_K = gather(total_K).logsumexp(dim=0)
    # An item whose queries are all excluded has no matches either: any finite number will do.
    return total_K.masked_fill_(total_K == -torch.inf, 0)


def _exclude(logits_CK: Tensor, rows: slice, excluded: Excluded | None) -> None:
    """Set the logits of excluded pairs to -inf: they add 0 to every sum and have no gradient."""
    if excluded is not None:
        queries, items = excluded
        mine = (rows.start <= queries) & (queries < rows.stop)
        logits_CK[queries[mine] - rows.start, items[mine]] = -torch.inf


def _logits(query_CE: Tensor, items_KE: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return (query_CE @ items_KE.T).mul_(scale).add_(bias)


def _chunks(query_QE: Tensor, items_KE: Tensor) -> Iterator[slice]:
    rows = max(1, CHUNK_LOGITS // len(items_KE))
    return (slice(start, start + rows) for start in range(0, len(query_QE), rows))


def _widen(*values: Tensor | float) -> list[Tensor]:
    """Bring all to one type, float32 at least, and to the device of the first, off the graph."""
    first = values[0]
    assert isinstance(first, Tensor)
    types = [v.dtype for v in values if isinstance(v, Tensor)]
    dtype = reduce(torch.promote_types, types, torch.float32)
    return [torch.as_tensor(v, dtype=dtype, device=first.device).detach() for v in values]


def _check(query_QE: Tensor, items_KE: Tensor, target_Q: Tensor | None) -> Tensor:
    """Refuse what the formulas don't hold for, and give each query's item."""
    num_queries, num_items = len(query_QE), len(items_KE)
    if query_QE.shape[1] != items_KE.shape[1]:
        raise ValueError(f"queries are {query_QE.shape[1]} wide, items {items_KE.shape[1]}")
    for side, rows in (("query", query_QE), ("item", items_KE)):
        _check_lengths(side, rows.detach())
    if target_Q is None:
        if num_queries != num_items:
            raise ValueError(
                f"{num_queries} queries and {num_items} items: say which item is whose"
            )
        return torch.arange(num_queries, device=query_QE.device)
    if target_Q.shape != (num_queries,) or target_Q.dtype != torch.int64:
        raise ValueError(
            f"targets: expected int64 ({num_queries},), one for each query, "
            f"found {target_Q.dtype} {tuple(target_Q.shape)}"
        )
    stray_Q = (target_Q < 0) | (target_Q >= num_items)
    if stray_Q.any():
        query = int(stray_Q.nonzero()[0])
        raise ValueError(
            f"target of query {query}: expected one of {num_items} items, "
            f"found {int(target_Q[query])}"
        )
    return target_Q


def _check_lengths(side: str, rows_NE: Tensor) -> None:
    length_N = torch.linalg.vector_norm(
        rows_NE, dim=1, dtype=torch.promote_types(rows_NE.dtype, torch.float32)
    )
    off_N = ~((length_N - 1).abs() <= UNIT_TOLERANCE)  # true of NaN too
    if off_N.any():
        row = int(off_N.nonzero()[0])
        raise ValueError(f"{side} {row}: expected a vector of length 1, found {length_N[row]:.4g}")
