"""Symmetric InfoNCE, the loss of ImageBind."""

from __future__ import annotations

import torch
from torch import Tensor

from openbind.training.losses.chunked import (
    Excluded,
    Gather,
    check_inputs,
    chunked_loss,
    exclude,
    gather_alone,
    log_sum_over_queries,
)
from openbind.training.losses.loss import Loss


def info_nce(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor | float,
    target_Q: Tensor | None = None,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Compute InfoNCE in both directions: queries among items, matched items among queries.

    With q_i the queries, k_j the items, t(i) the item of query i and s the scale (1 / temperature):

        L(q, k) = −1/Q Σ_i log( exp(s q_i·k_t(i)) / Σ_j exp(s q_i·k_j) )
        loss    = ( L(q, k) + L(k, q) ) / 2

    This is ImageBind's L_{I,M} + L_{M,I} (Girdhar et al. 2023, arXiv:2305.05665, section 3.1,
    equation 1), halved as in CLIP. Several queries may share an item: they are all its positives,
    and their log-probabilities are averaged. Items without a query are used as negatives only.

    With several processes, each has its own queries and the same items, and gets the loss of all
    queries. The mean of the gradients over processes, which DDP and FSDP take, is the gradient of
    one process with all queries; the scale's is complete in each.

    Args:
        query_QE: unit vectors of this process, as the paper's temperature assumes.
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
    total_K, known_QK = log_sum_over_queries(query_QE, items_KE, scale, gather, excluded)
    queries_K = gather(torch.bincount(target_Q, minlength=len(items_KE))).sum(dim=0).to(total_K)
    matched_K = (queries_K > 0).to(total_K)
    # Weights of a query in the forward direction, of an item in the reverse one, and of a query
    # among those of its item.
    weight = 0.5 / queries_K.sum()
    weight_K = 0.5 / matched_K.sum() * matched_K
    shared_Q = (weight_K / queries_K.clamp(min=1))[target_Q]

    def part(rows: slice, logits_PK: Tensor) -> tuple[Tensor, Tensor]:
        exclude(logits_PK, rows, excluded)
        target_P, shared_P = target_Q[rows], shared_Q[rows]
        match = (torch.arange(len(target_P), device=target_P.device), target_P)
        matched_P = logits_PK[match]
        total_P = logits_PK.logsumexp(dim=1)
        forward = weight * (total_P - matched_P)
        backward = shared_P * (total_K[target_P] - matched_P)
        slope_PK = (logits_PK - total_P[:, None]).exp_().mul_(weight)
        slope_PK += logits_PK.sub_(total_K).exp_().mul_(weight_K)
        slope_PK[match] -= weight + shared_P
        return (forward + backward).sum(), slope_PK

    return chunked_loss(query_QE, items_KE, scale, 0.0, part, gather, known_QK)


class InfoNCE(Loss):
    """InfoNCE in both directions, at the pair's temperature."""

    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss; see `info_nce`."""
        return info_nce(query_QE, items_KE, self.scale, target_Q, gather, excluded)
