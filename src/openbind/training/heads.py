"""A network's last Linear, trained alone on features computed once, and put back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.errors import ConfigError

_MIN_STD = 0.05
"""Added to deviations of features, so that a feature that hardly varies isn't amplified."""


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """How the last Linear is trained.

    Args:
        fresh: draw it again; otherwise it starts as the space has it.
        dropout: of the features, where only this layer is trained.
        standardize: give every feature mean 0 and about deviation 1 over the training items first,
            where only this layer is trained; in the end that is folded into the layer.
        ridge: start as the ridge regression from the standardized features to the frozen items'
            embeddings, with this much added to their correlation's diagonal. A good start where
            pairs are few; a loss that only contrasts goes on from there.
        center: the share of those embeddings' mean that the regression's targets lack. What all
            images of a sensor's kind have in common, such as being rendered, says little about
            any of them; 0 keeps it, 1 removes it.
    """

    fresh: bool = False
    dropout: float = 0.0
    standardize: bool = False
    ridge: float | None = None
    center: float = 0.0

    def __post_init__(self) -> None:
        if self.ridge is not None and (self.ridge <= 0 or not self.standardize or self.fresh):
            raise ValueError(
                f"ridge: expected a number above 0 with standardize and without fresh, "
                f"found {self.ridge}"
            )
        if not 0 <= self.center <= 1 or (self.center and self.ridge is None):
            raise ValueError(f"center: expected a share in [0, 1], with ridge, found {self.center}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), found {self.dropout}")


def head_layer(tower: nn.Module) -> nn.Linear:
    """Find the last Linear: a transformer's `head.proj`, another network's `head`.

    Raises:
        ConfigError: the network has none.
    """
    owner, name = _head_place(tower)
    layer: nn.Linear = getattr(owner, name)
    return layer


def features(tower: nn.Module, batch: Tensor) -> Tensor:
    """Compute what the last Linear gets, as in inference, without gradients.

    Args:
        tower: a network with a `head_layer`.
        batch: what it takes, (B, ...), in its precision and on its device.

    Returns:
        (B, D) float32.
    """
    training = tower.training
    try:
        with _without_head(tower.eval()), torch.no_grad():
            features_BD: Tensor = tower(batch).float()
    finally:
        tower.train(training)
    return features_BD


class HeadNet(nn.Module):
    """The last Linear alone, on features computed once; `fold_head` puts it back.

    Args:
        tower: whose it is. Unless the layer is fresh, the net starts as the function that it is.
        plan: of the training.
        features_ND: of the training items, whose mean and std standardize; only looked at
            if the plan asks for that.
        targets_NE: the frozen items' vectors that they belong to, for `ridge`.
    """

    mean_D: Tensor
    std_D: Tensor

    def __init__(
        self, tower: nn.Module, plan: HeadPlan, features_ND: Tensor, targets_NE: Tensor
    ) -> None:
        super().__init__()
        layer = head_layer(tower)
        self.dropout = plan.dropout
        weight_ED = layer.weight.detach()
        mean_D, std_D = torch.zeros_like(weight_ED[0]), torch.ones_like(weight_ED[0])
        if plan.standardize:
            std_D, mean_D = torch.std_mean(features_ND.to(weight_ED), dim=0, correction=0)
            std_D = std_D + _MIN_STD
        self.register_buffer("mean_D", mean_D)
        self.register_buffer("std_D", std_D)
        self.linear = copy.deepcopy(layer).requires_grad_(True)
        if plan.standardize and not plan.fresh:
            with torch.no_grad():
                self.linear.weight.mul_(std_D)
                self.linear.bias.add_(weight_ED @ mean_D)
        if plan.ridge is not None:
            scaled_ND = (features_ND.to(weight_ED) - mean_D) / std_D
            targets_NE = targets_NE.to(weight_ED)
            targets_NE = targets_NE - plan.center * targets_NE.mean(dim=0)
            weight, bias = _solve_ridge(scaled_ND, targets_NE, plan.ridge)
            with torch.no_grad():
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Embed features: (B, D) to (B, E), not yet of unit length."""
        scaled_BD = (features_BD - self.mean_D) / self.std_D
        embed_BE: Tensor = self.linear(F.dropout(scaled_BD, self.dropout, self.training))
        return embed_BE


@torch.no_grad()
def fold_head(net: HeadNet, tower: nn.Module) -> None:
    """Set a tower's last Linear to what was trained: weight / deviation, bias - weight · mean."""
    layer = head_layer(tower)
    weight_ED = net.linear.weight.double() / net.std_D
    layer.weight.copy_(weight_ED)
    if layer.bias is not None:
        layer.bias.copy_(net.linear.bias - weight_ED @ net.mean_D.double())


def _solve_ridge(x_ND: Tensor, y_NE: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the affine map of least squares, solved in float64 (centerd)."""
    x_ND, y_NE = x_ND.double(), y_NE.double()
    mean_D, mean_E = x_ND.mean(dim=0), y_NE.mean(dim=0)
    x_ND, y_NE = x_ND - mean_D, y_NE - mean_E
    diagonal_DD = ridge * torch.eye(x_ND.shape[1], dtype=x_ND.dtype, device=x_ND.device)
    count = len(x_ND)
    correlation_DD = x_ND.T @ x_ND / count + diagonal_DD
    weight_DE = torch.linalg.solve(correlation_DD, x_ND.T @ y_NE / count)
    return weight_DE.T, mean_E - mean_D @ weight_DE


def draw_head(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw it as `initialize` does, U(±1/√inputs), with a bias of 0."""
    bound = layer.in_features**-0.5
    drawn = torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        layer.weight.copy_(drawn)
        if layer.bias is not None:
            layer.bias.zero_()


def _head_place(tower: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the last Linear, and its name there."""
    head = getattr(tower, "head", None)
    if isinstance(head, nn.Linear):
        return tower, "head"
    if isinstance(head, nn.Module) and isinstance(getattr(head, "proj", None), nn.Linear):
        return head, "proj"
    raise ConfigError(
        f"a {type(tower).__name__} of this config has no last Linear (`head` or `head.proj`) "
        "that could be trained by itself; train: full"
    )


@contextmanager
def _without_head(tower: nn.Module) -> Iterator[None]:
    """Let a tower give what its last Linear gets."""
    owner, name = _head_place(tower)
    layer = getattr(owner, name)
    setattr(owner, name, nn.Identity())
    try:
        yield
    finally:
        setattr(owner, name, layer)
