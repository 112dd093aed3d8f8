"""Cross entropy of queries among items: a classification by names, in one direction."""

from __future__ import annotations

import torch
from torch import Tensor

from openbind.training.losses.chunked import (
    Excluded,
    Gather,
    Number,
    check_inputs,
    chunked_loss,
    exclude,
    gather_alone,
)
from openbind.training.losses.loss import Loss


def cross_entropy(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    target_Q: Tensor | None = None,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Compute the first direction of InfoNCE alone: which item is the query's?

    With q_i the queries, k_j the items, t(i) the item of query i and s the scale:

        loss = −1/Q Σ_i log( exp(s q_i·k_t(i)) / Σ_j exp(s q_i·k_j) )

    With `negatives: corpus` and the names of classes as items it is what a classifier learns by.

    Args:
        query_QE: unit vectors of this process.
        items_KE: unit vectors, the same in all processes.
        scale: 1 / temperature, greater than 0; a tensor may be learned.
        target_Q: int64, the index of each query's item; by default query i belongs to item i.
        gather: how processes exchange tensors; one process by default.
        excluded: pairs of a query and another of its positives, omitted from all sums.

    Returns:
        the loss, a scalar tensor, computed in float32 or float64.

    Raises:
        ValueError: the inputs don't fit; see `check_inputs`.
    """
    target_Q = check_inputs(query_QE, items_KE, target_Q)
    return _cross_entropy(query_QE, items_KE, scale, target_Q, gather, excluded)


def _cross_entropy(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    target_Q: Tensor,
    gather: Gather,
    excluded: Excluded | None,
) -> Tensor:
    """Compute `cross_entropy` of inputs that are known to fit."""
    num_queries = gather(torch.tensor(len(query_QE), device=query_QE.device)).sum()

    def part(rows: slice, logits_PK: Tensor) -> tuple[Tensor, Tensor]:
        exclude(logits_PK, rows, excluded)
        target_P = target_Q[rows]
        match = (torch.arange(len(target_P), device=target_P.device), target_P)
        total_P = logits_PK.logsumexp(dim=1)
        loss = (total_P - logits_PK[match]).sum() / num_queries
        slope_PK = (logits_PK - total_P[:, None]).exp_().div_(num_queries)
        slope_PK[match] -= 1 / num_queries
        return loss, slope_PK

    return chunked_loss(query_QE, items_KE, scale, 0.0, part, gather)


class CrossEntropy(Loss):
    """Cross entropy of queries among items, at the pair's temperature."""

    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss; see `cross_entropy`."""
        return _cross_entropy(query_QE, items_KE, self.scale, target_Q, gather, excluded)
