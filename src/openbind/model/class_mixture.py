"""A head that embeds features as a classifier sees them, beside a projection of them.

The mixture of one vector per class, weighted by the classifier's softened probabilities, is that of
Norouzi et al. 2014 (arXiv:1312.5650). It names what the classifier knows; the projection keeps what
it doesn't.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from openbind.configs import Range, Width


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """A classifier beside the projection.

    Args:
        classes: of the classifier.
        temperature: of its probabilities.
    """

    classes: Width
    temperature: Annotated[float, Range(1e-3, 1e3)] = 2.0


def classify(classifier: nn.Linear, features_BD: torch.Tensor) -> torch.Tensor:
    """Return a classifier's logits_BC; of more features than it has inputs it reads the first."""
    logits_BC: torch.Tensor = classifier(features_BD[..., : classifier.in_features])
    return logits_BC


class ClassMixture(nn.Module):
    """Embeds features as the mixture of class vectors that a classifier predicts.

    Args:
        classifier: features → logits of the classes.
        mixture: probabilities → the mixture of one vector per class.
        temperature: of the probabilities.
    """

    def __init__(self, classifier: nn.Linear, mixture: nn.Linear, temperature: float) -> None:
        super().__init__()
        self.classifier, self.mixture, self.temperature = classifier, mixture, temperature

    def classify(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return logits of the classes, logits_BC, divided by the temperature."""
        return classify(self.classifier, features_BD) / self.temperature

    def forward(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return the mixtures, embed_BE."""
        mixture_BE: torch.Tensor = self.mixture(self.classify(features_BD).softmax(dim=-1))
        return mixture_BE


class MixtureHead(nn.Module):
    """What embeds averaged features: a projection, and beside it a mixture of class vectors.

    Args:
        proj: of the features.
        beside: see `ClassMixture`.
    """

    def __init__(self, proj: nn.Linear, beside: ClassMixture) -> None:
        super().__init__()
        self.proj, self.beside = proj, beside

    @property
    def trained(self) -> tuple[nn.Linear, ...]:
        """The layers that are trained where only the head is; the classifier is of the body."""
        return self.proj, self.beside.mixture

    def forward(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Embed features, not normalized: embed_BE."""
        embed_BE: torch.Tensor = self.beside(features_BD) + self.proj(features_BD)
        return embed_BE


def build_head(width: int, embed_dim: int, mixture: MixtureConfig | None) -> nn.Module:
    """Build a projection, with a mixture beside it if it is configured.

    Args:
        width: of the features.
        embed_dim: of the embedding.
        mixture: of the classes.
    """
    proj = nn.Linear(width, embed_dim)
    if mixture is None:
        return proj
    classifier = nn.Linear(width, mixture.classes)
    vectors = nn.Linear(mixture.classes, embed_dim, bias=False)
    return MixtureHead(proj, ClassMixture(classifier, vectors, mixture.temperature))
