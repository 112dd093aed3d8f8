"""A head's mixture of class vectors, learned from items of few classes.

A classifier names the frozen items, which are the same for all rows of a class; its softened
probabilities weigh their vectors (Norouzi et al. 2014, arXiv:1312.5650).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.errors import ConfigError
from openbind.model.class_mixture import ClassMixture

MAX_ITERATIONS, MEMORY = 60, 10
"""Of L-BFGS."""


@dataclass(frozen=True, kw_only=True)
class MixturePlan:
    """How the mixture beside a head's projection is learned before training.

    Args:
        weight: of its class vectors, the frozen items' minus their mean.
        decay: weight of the squared weights of the classifier, a logistic regression.
    """

    weight: float = 2.0
    decay: float = 3e-3

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.decay <= 0:
            raise ValueError(
                f"mixture: expected a weight and a decay above 0, found {self.weight} and "
                f"{self.decay}"
            )


def learn_mixture(
    beside: ClassMixture,
    scaled_ND: Tensor,
    targets_NE: Tensor,
    share_N: Tensor,
    plan: MixturePlan,
) -> None:
    """Set a mixture's classifier, on scaled features, and its class vectors.

    Args:
        beside: of a head; its classifier has as many classes as there are frozen items.
        scaled_ND: features of the training items.
        targets_NE: vectors of the frozen items that they belong to.
        share_N: how much each counts; sums to 1.
        plan: of the mixture.

    Raises:
        ConfigError: another number of frozen items.
    """
    vectors_KE, class_N = torch.unique(targets_NE, dim=0, return_inverse=True)
    expected = beside.classifier.out_features
    if len(vectors_KE) != expected:
        raise ConfigError(
            f"head.mixture: the items are of {len(vectors_KE)} different vectors, but the config's "
            f"mixture has {expected} classes; each class needs one name"
        )
    weight_KD, bias_K = fit_logistic(scaled_ND, class_N, share_N, len(vectors_KE), plan.decay)
    centered_KE = vectors_KE - vectors_KE.mean(0)
    with torch.no_grad():
        beside.classifier.weight.copy_(weight_KD)
        beside.classifier.bias.copy_(bias_K)
        beside.mixture.weight.copy_(plan.weight * centered_KE.T)


def fit_logistic(
    x_ND: Tensor, class_N: Tensor, share_N: Tensor, classes: int, decay: float
) -> tuple[Tensor, Tensor]:
    """Return weight_KD and bias_K of a logistic regression, by L-BFGS from zero."""
    with torch.enable_grad():
        weight_KD = x_ND.new_zeros(classes, x_ND.shape[1]).requires_grad_()
        bias_K = x_ND.new_zeros(classes).requires_grad_()
        search = torch.optim.LBFGS(
            [weight_KD, bias_K],
            max_iter=MAX_ITERATIONS,
            history_size=MEMORY,
            line_search_fn="strong_wolfe",
        )

        def compute_loss() -> Tensor:
            search.zero_grad()
            loss_N = F.cross_entropy(x_ND @ weight_KD.T + bias_K, class_N, reduction="none")
            loss: Tensor = share_N @ loss_N + decay / 2 * weight_KD.square().sum()
            loss.backward()
            return loss

        search.step(compute_loss)
    return weight_KD.detach(), bias_K.detach()
