"""The interface of all losses: query and item embeddings of a batch in, a scalar out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from openbind.training.losses.chunked import Excluded, Gather, gather_alone

if TYPE_CHECKING:
    from openbind.training.recipe import PairPlan

MAX_LEARNED_SCALE = 100.0
"""CLIP's limit (arXiv 2103.00020, section 2.5)."""


class Loss(nn.Module, ABC):
    """The loss of one pair of modalities, with the parameters that it learns.

    A subclass computes the loss in `forward` and may add parameters of its own. The network is
    synchronized between processes, the loss is not: gradients of the loss's parameters must be
    those of the whole batch in every process.

    Args:
        plan: of the pair; temperature and bias are initial values, learned if
            `learn_temperature` is set.
    """

    def __init__(self, plan: PairPlan) -> None:
        super().__init__()
        log_scale = torch.tensor(-math.log(plan.temperature))
        self.log_scale = nn.Parameter(log_scale, requires_grad=plan.learn_temperature)

    @property
    def scale(self) -> Tensor:
        """The factor of the cosines, 1 / temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Keep a learned scale from exceeding `MAX_LEARNED_SCALE`, after each step.

        As in CLIP the parameter itself is limited: clamped in `scale`, it would have no gradient
        at the limit, and never leave it again.
        """
        if self.log_scale.requires_grad:
            self.log_scale.clamp_(max=math.log(MAX_LEARNED_SCALE))

    @abstractmethod
    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss; checks of the inputs would take as long for small batches.

        Args:
            query_QE: unit vectors of the trained modality, this process's rows of the batch.
            items_KE: unit vectors of the frozen modality, the same in all processes: the rows'
                items first, then the additional negatives.
            target_Q: int64, the index of each query's item.
            gather: stacks a tensor of each process: (...) → (processes, ...).
            excluded: indices of queries and of items: further positives of the queries, which are
                not contrasted.

        Returns:
            a scalar: the loss of the queries of all processes. The mean over processes of its
            gradients at the queries must be the gradient of one process with all queries.
        """
