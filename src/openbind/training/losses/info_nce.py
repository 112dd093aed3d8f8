"""Symmetric InfoNCE, the loss of ImageBind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from openbind.training.losses.chunked import (
    Excluded,
    Gather,
    Number,
    check_inputs,
    chunked_loss,
    exclude,
    fits_at_once,
    gather_alone,
    like_input,
    log_sum_over_queries,
    widen,
    without_autocast,
)
from openbind.training.losses.loss import Loss


def info_nce(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
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
    return _info_nce(query_QE, items_KE, scale, target_Q, gather, excluded)


def _info_nce(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    target_Q: Tensor,
    gather: Gather,
    excluded: Excluded | None,
) -> Tensor:
    """Compute `info_nce` of inputs that are known to fit."""
    if gather is gather_alone and fits_at_once(query_QE, items_KE):
        given = (query_QE, items_KE, scale, target_Q, excluded)
        loss: Tensor = _AtOnce.apply(*given)  # type: ignore[no-untyped-call]
        return loss
    total_K, known_QK = log_sum_over_queries(query_QE, items_KE, scale, gather, excluded)
    queries_K = gather(torch.bincount(target_Q, minlength=len(items_KE))).sum(dim=0).to(total_K)
    weight = 0.5 / queries_K.sum()
    weight_K, shared_Q = _weigh(queries_K, target_Q)

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


def _weigh(queries_K: Tensor, target_Q: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights in the reverse direction: of items, and of queries among their item's."""
    matched_K = queries_K.clamp(max=1)
    weight_K = 0.5 / matched_K.sum() * matched_K
    return weight_K, (weight_K / queries_K.clamp(min=1))[target_Q]


class _AtOnce(torch.autograd.Function):
    """InfoNCE of one process whose logits are all in memory, in a third of the operations.

    A small batch's loss takes as long as PyTorch needs to start its operations. The matrix of
    logits and those of the log-probabilities are the only large ones.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query_QE: Tensor,
        items_KE: Tensor,
        scale: Number,
        target_Q: Tensor,
        excluded: Excluded | None,
    ) -> Tensor:
        query, items, s, _ = widen(query_QE, items_KE, scale, 0.0)
        with without_autocast(query.device):
            logits_QK = (query @ items.T).mul_(s)
            exclude(logits_QK, slice(0, len(logits_QK)), excluded)
            loss, slope_QK = _solve(logits_QK, target_Q, excluded is not None)
            d_query = slope_QK @ items
            for_query, for_items, for_scale = ctx.needs_input_grad[:3]
            d_scale = (d_query * query).sum() if for_scale else None
            d_items = (slope_QK.T @ query).mul_(s) if for_items else None
        found = (d_query.mul_(s) if for_query else None, d_items, d_scale)
        ctx.gradients = tuple(map(like_input, found, (query_QE, items_KE, scale)))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        found = (None if gradient is None else gradient * upstream for gradient in ctx.gradients)
        return (*found, None, None)


def _solve(logits_QK: Tensor, target_Q: Tensor, some_excluded: bool) -> tuple[Tensor, Tensor]:
    """Return the loss of all logits, and its derivative by them."""
    among_items_QK, among_queries_QK = logits_QK.log_softmax(dim=1), logits_QK.log_softmax(dim=0)
    if some_excluded:  # NaN of an item that no query is contrasted with
        among_queries_QK.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
    queries_K = target_Q.bincount(minlength=logits_QK.shape[1]).to(logits_QK.dtype)
    weight, (weight_K, shared_Q) = 0.5 / len(target_Q), _weigh(queries_K, target_Q)
    place_Q1 = target_Q[:, None]
    forward = among_items_QK.gather(1, place_Q1).sum().mul_(weight)
    backward = shared_Q.dot(among_queries_QK.gather(1, place_Q1)[:, 0])
    slope_QK = among_items_QK.exp_().mul_(weight)
    slope_QK.addcmul_(among_queries_QK.exp_(), weight_K)
    slope_QK.scatter_add_(1, place_Q1, shared_Q.add_(weight).neg_()[:, None])
    return forward.add_(backward).neg_(), slope_QK


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
        return _info_nce(query_QE, items_KE, self.scale, target_Q, gather, excluded)
