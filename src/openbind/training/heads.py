"""A tower's head: trained alone on cached features, and folded back into the tower.

A head is a Linear, the last one, or has one as `proj`. Beside that it may have another part, which
embeds the same features, and a property `trained`, the layers of both that are trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.errors import ConfigError
from openbind.model.class_mixture import ClassMixture
from openbind.training.class_mixture import MixturePlan, learn_mixture

_MIN_STD = 0.05
"""Added to the standard deviation of each feature, so that constant ones aren't amplified."""


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """How the last Linear is trained.

    Args:
        fresh: initialize it randomly; otherwise it starts with the space's weights.
        dropout: of its input, the features, where only the head is trained.
        standardize: scale every feature to mean 0 and a standard deviation of about 1 over the
            training items, where only the head is trained; folded into the layer in the end.
        ridge: initialize with the ridge regression from the standardized features to the frozen
            items' embeddings, with this added to the diagonal of their correlation. Helps where
            pairs are few.
        center: the fraction of the mean embedding that is subtracted from the regression's targets.
            What all images of a data set have in common, such as being rendered, doesn't
            distinguish them; 0 keeps it, 1 removes it.
        mixture: learn the mixture of class vectors beside the Linear again, before training. Helps
            where items are of few classes, each with one name; the tower's config needs a mixture
            of as many classes.
    """

    fresh: bool = False
    dropout: float = 0.0
    standardize: bool = False
    ridge: float | None = None
    center: float = 0.0
    mixture: MixturePlan | None = None

    def __post_init__(self) -> None:
        if self.ridge is not None and (self.ridge <= 0 or not self.standardize or self.fresh):
            raise ValueError(
                f"ridge: expected a number above 0 with standardize and without fresh, "
                f"found {self.ridge}"
            )
        if not 0 <= self.center <= 1 or (self.center and self.ridge is None):
            raise ValueError(
                f"center: expected a fraction in [0, 1], with ridge, found {self.center}"
            )
        if self.mixture is not None and (self.fresh or not self.standardize):
            raise ValueError("mixture: only with standardize and without fresh")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), found {self.dropout}")


def head_layer(tower: nn.Module) -> nn.Linear:
    """Return the last Linear: `head.proj` of a transformer, `head` of another network.

    Raises:
        ConfigError: the network has none.
    """
    head = getattr(tower, "head", None)
    layer = head if isinstance(head, nn.Linear) else getattr(head, "proj", None)
    if not isinstance(layer, nn.Linear):
        raise ConfigError(
            f"a {type(tower).__name__} of this config has no last Linear (`head` or `head.proj`); "
            "use train: full"
        )
    return layer


def head_part(tower: nn.Module) -> nn.Module | None:
    """Return what a tower's head has beside the last Linear, whose output it is added to."""
    part: nn.Module | None = getattr(getattr(tower, "head", None), "beside", None)
    return part


def trained_layers(tower: nn.Module) -> tuple[nn.Module, ...]:
    """Return the layers that are trained where only the head is.

    Raises:
        ConfigError: see `head_layer`.
    """
    layer = head_layer(tower)
    layers: tuple[nn.Module, ...] = getattr(getattr(tower, "head", None), "trained", (layer,))
    return layers


def head_names(tower: nn.Module) -> frozenset[str]:
    """Return the names of the weights that aren't the body's, where only the head is trained.

    Raises:
        ConfigError: see `head_layer`.
    """
    parts = [*trained_layers(tower), head_part(tower)]
    own = {id(weight) for part in parts if part is not None for weight in part.parameters()}
    return frozenset(name for name, weight in tower.named_parameters() if id(weight) in own)


def classifier_of(tower: nn.Module) -> nn.Linear:
    """Return the classifier on the features that a tower's head has.

    Raises:
        ConfigError: it has none.
    """
    classifier = getattr(head_part(tower), "classifier", None)
    if not isinstance(classifier, nn.Linear):
        raise ConfigError(f"keep: a {type(tower).__name__} has no classifier whose names to keep")
    return classifier


def features(tower: nn.Module, batch: Tensor) -> Tensor:
    """Compute the input of the last Linear, as in inference, without gradients.

    Args:
        tower: a network with a `head_layer` and a method `features`.
        batch: (B, ...) inputs in its precision.

    Returns:
        features_BD in float32 on the tower's device.

    Raises:
        ConfigError: the network can't compute its features.
    """
    compute: Callable[[Tensor], Tensor] | None = getattr(tower, "features", None)
    if compute is None:
        raise ConfigError(f"a {type(tower).__name__} has no method `features`; use train: full")
    training, device = tower.training, next(tower.parameters()).device
    try:
        tower.eval()
        with torch.no_grad():
            return compute(batch.to(device)).float()
    finally:
        tower.train(training)


class HeadNet(nn.Module):
    """The head alone, on cached features; `fold_head` folds it back into the tower.

    Args:
        tower: has the head. Unless that is fresh, the net computes what the head does.
        plan: of the training.
        features_ND: of the training items, for `standardize` and `ridge`.
        targets_NE: the frozen items' vectors that they belong to, for `ridge`.
        weight_N: how much each counts for both; None is alike.
    """

    mean_D: Tensor
    std_D: Tensor

    def __init__(
        self,
        tower: nn.Module,
        plan: HeadPlan,
        features_ND: Tensor,
        targets_NE: Tensor,
        weight_N: Tensor | None = None,
    ) -> None:
        super().__init__()
        layer = head_layer(tower)
        self.dropout = plan.dropout
        weight_ED = layer.weight.detach()
        mean_D, std_D = torch.zeros_like(weight_ED[0]), torch.ones_like(weight_ED[0])
        if weight_N is None:
            weight_N = torch.ones(len(features_ND))
        share_N = (weight_N / weight_N.sum()).to(weight_ED)
        if plan.standardize:
            mean_D = share_N @ features_ND.to(weight_ED)
            std_D = (share_N @ (features_ND.to(weight_ED) - mean_D).square()).sqrt() + _MIN_STD
        self.register_buffer("mean_D", mean_D)
        self.register_buffer("std_D", std_D)
        self.linear = copy.deepcopy(layer).requires_grad_(True)
        self.beside = copy.deepcopy(head_part(tower))
        if plan.standardize and not plan.fresh:
            with torch.no_grad():
                self.linear.weight.mul_(std_D)
                self.linear.bias.add_(weight_ED @ mean_D)
        if plan.ridge is None and plan.mixture is None:
            return
        scaled_ND = (features_ND.to(weight_ED) - mean_D) / std_D
        targets_NE = targets_NE.to(weight_ED)
        if plan.mixture is not None:
            self._learn_mixture(plan.mixture, scaled_ND, targets_NE, share_N)
        if plan.ridge is not None:
            targets_NE = targets_NE - plan.center * (share_N @ targets_NE)
            weight, bias = _solve_ridge(scaled_ND, targets_NE, share_N, plan.ridge)
            with torch.no_grad():
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

    def _learn_mixture(
        self, plan: MixturePlan, scaled_ND: Tensor, targets_NE: Tensor, share_N: Tensor
    ) -> None:
        """Set the mixture; its classifier sees features as they are, not scaled."""
        if not isinstance(self.beside, ClassMixture):
            raise ConfigError("head.mixture: the tower has none; config: {mixture: {classes: …}}")
        learn_mixture(self.beside, scaled_ND, targets_NE, share_N, plan)
        with torch.no_grad():
            classifier = self.beside.classifier
            classifier.weight.div_(self.std_D)
            classifier.bias.sub_(classifier.weight @ self.mean_D)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Embed features: (B, D) to (B, E), not normalized."""
        scaled_BD = (features_BD - self.mean_D) / self.std_D
        embed_BE: Tensor = self.linear(F.dropout(scaled_BD, self.dropout, self.training))
        return embed_BE if self.beside is None else embed_BE + self.beside(features_BD)


@torch.no_grad()
def fold_head(net: HeadNet, tower: nn.Module) -> None:
    """Set a tower's head to the trained one.

    The Linear's weight is divided by std, and weight / std · mean subtracted from its bias.
    """
    layer, part = head_layer(tower), head_part(tower)
    if part is not None and net.beside is not None:
        part.load_state_dict(net.beside.state_dict())
    weight_ED = net.linear.weight.double() / net.std_D
    layer.weight.copy_(weight_ED)
    if layer.bias is not None:
        layer.bias.copy_(net.linear.bias - weight_ED @ net.mean_D.double())


def _solve_ridge(
    x_ND: Tensor, y_NE: Tensor, share_N: Tensor, ridge: float
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the weighted ridge regression with intercept, in float64."""
    x_ND, y_NE, share_N = x_ND.double(), y_NE.double(), share_N.double()
    mean_D, mean_E = share_N @ x_ND, share_N @ y_NE
    x_ND, y_NE = x_ND - mean_D, y_NE - mean_E
    diagonal_DD = ridge * torch.eye(x_ND.shape[1], dtype=x_ND.dtype, device=x_ND.device)
    weighted_DN = x_ND.T * share_N
    correlation_DD = weighted_DN @ x_ND + diagonal_DD
    weight_DE = torch.linalg.solve(correlation_DD, weighted_DN @ y_NE)
    return weight_DE.T, mean_E - mean_D @ weight_DE


def draw_head(layer: nn.Linear, generator: torch.Generator) -> None:
    """Initialize a Linear as `initialize` does, U(±1/√inputs), with a bias of 0."""
    bound = layer.in_features**-0.5
    weight_ED = torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        layer.weight.copy_(weight_ED)
        if layer.bias is not None:
            layer.bias.zero_()


def clear_mixture(tower: nn.Module) -> None:
    """Let a tower's head be its projection alone, if it has more."""
    part = head_part(tower)
    if isinstance(part, ClassMixture):
        nn.init.zeros_(part.mixture.weight)
