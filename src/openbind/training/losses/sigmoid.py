"""SigLIP's sigmoid loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

if TYPE_CHECKING:
    from openbind.training.recipe import PairPlan


def sigmoid_loss(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    bias: Number,
    target_Q: Tensor | None = None,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Compute a binary classification of all pairs: does the item belong to the query?

    With q_i the queries, k_j the items, z_ij = 1 where item j is that of query i and −1 elsewhere,
    s the scale and b the bias:

        loss = −1/Q Σ_i Σ_j log sigmoid( z_ij (s q_i·k_j + b) )

    This is SigLIP's loss (Zhai et al. 2023, arXiv:2303.15343, equation 1 with the sign of the bias
    as in their algorithm 1, where it starts at −10 and the scale at 10).

    Several queries may share an item; items without a query are used as negatives only. Processes
    share the work as in `info_nce`; the gradients of scale and bias are complete in each.

    Args:
        query_QE: unit vectors of this process.
        items_KE: unit vectors, the same in all processes.
        scale: factor of the cosines, greater than 0; a tensor may be learned.
        bias: added to the scaled cosines; a tensor may be learned.
        target_Q: int64, the index of each query's item; by default query i belongs to item i.
        gather: how processes exchange tensors; one process by default.
        excluded: pairs of a query and an item that isn't its target, omitted from all sums: other
            positives of the query, which are not negatives.

    Returns:
        the loss, a scalar tensor, computed in float32 or float64.

    Raises:
        ValueError: the inputs don't fit; see `check_inputs`.
    """
    target_Q = check_inputs(query_QE, items_KE, target_Q)
    return _sigmoid_loss(query_QE, items_KE, scale, bias, target_Q, gather, excluded)


def _sigmoid_loss(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Number,
    bias: Number,
    target_Q: Tensor,
    gather: Gather,
    excluded: Excluded | None,
) -> Tensor:
    """Compute `sigmoid_loss` of inputs that are known to fit."""
    num_queries = gather(torch.tensor(len(query_QE), device=query_QE.device)).sum()

    def part(rows: slice, logits_PK: Tensor) -> tuple[Tensor, Tensor]:
        exclude(logits_PK, rows, excluded)
        target_P = target_Q[rows]
        match = (torch.arange(len(target_P), device=target_P.device), target_P)
        logits_PK[match] *= -1  # −z_ij (s q_i·k_j + b), since −log sigmoid(−x) = softplus(x)
        loss = F.softplus(logits_PK).sum() / num_queries
        slope_PK = logits_PK.sigmoid_().div_(num_queries)
        slope_PK[match] *= -1
        return loss, slope_PK

    return chunked_loss(query_QE, items_KE, scale, bias, part, gather)


class Sigmoid(Loss):
    """SigLIP's loss at the pair's temperature and bias.

    Args:
        plan: of the pair; the bias is learned with the temperature.
    """

    def __init__(self, plan: PairPlan) -> None:
        super().__init__(plan)
        self.bias = nn.Parameter(torch.tensor(plan.bias), requires_grad=plan.learn_temperature)

    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss; see `sigmoid_loss`."""
        return _sigmoid_loss(query_QE, items_KE, self.scale, self.bias, target_Q, gather, excluded)
