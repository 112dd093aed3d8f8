"""Fit the heads of text and image; both backbones are frozen.

Text keeps MiniLM's space: its head only subtracts the mean embedding of the class names, to remove
what all names have in common. Images: the mixture of class names predicted by the classifier, plus
a ridge regression from features to text embeddings, fitted on captioned drawings and on the
classifier's own classes. The regression's weight is small: a larger one is better for drawings and
worse for photographs (README.md has the numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pairs import Image
from torch.nn import functional as F

from openbind.model.backbones.efficientnet_lite import EfficientNetLite


@dataclass(frozen=True, kw_only=True)
class ImageTextRecipe:
    """Settings, chosen on held-out images (validate.py).

    Args:
        ridge: added to the diagonal of the features' correlation.
        class_weight: total weight of the synthetic photographs, relative to all drawings.
        share: weight of the projection relative to the mixture.
        imagined: number of synthetic photographs.
        confidence: mean logit that a synthetic photograph gains for its class.
        spread: of synthetic photographs around their class, relative to that of drawings.
        seed: of the synthetic photographs.
    """

    ridge: float = 0.3
    class_weight: float = 0.33
    share: float = 0.4
    imagined: int = 8000
    confidence: float = 8.0
    spread: float = 0.7
    seed: int = 1


def learn_image_head(
    tower: EfficientNetLite,
    features_KSD: torch.Tensor,
    words_KE: torch.Tensor,
    names_KE: torch.Tensor,
    recipe: ImageTextRecipe,
) -> None:
    """Set the tower's mixture and projection.

    Args:
        tower: a converted backbone.
        features_KSD: of each image's views.
        words_KE: text embedding of each image (`mean_words`).
        names_KE: centered embeddings of the class names, not normalized: less distinct names, which
            are near the center, have less influence.
        recipe: the settings.
    """
    num_views = features_KSD.shape[1]
    drawn_BD, drawn_BE = features_KSD.flatten(0, 1), words_KE.repeat_interleave(num_views, 0)
    imagined_BD, class_B = imagine_photographs(tower, drawn_BD, recipe)
    imagined_BE = F.normalize(names_KE, dim=1)[class_B]
    weight_B1 = torch.cat(
        [
            torch.full((len(drawn_BD), 1), 1 / len(drawn_BD)),
            torch.full((len(imagined_BD), 1), recipe.class_weight / len(imagined_BD)),
        ]
    )
    mean_D, std_D = drawn_BD.mean(0), drawn_BD.std(0) + 1e-4
    input_BD = (torch.cat([drawn_BD, imagined_BD]) - mean_D) / std_D
    weight_DE = solve_ridge(input_BD, torch.cat([drawn_BE, imagined_BE]), weight_B1, recipe.ridge)
    projection_ED = recipe.share * weight_DE.T / std_D
    with torch.no_grad():
        tower.mixture.weight.copy_(names_KE.T)
        tower.projection.weight.copy_(projection_ED)
        tower.projection.bias.copy_(-projection_ED @ mean_D)


def solve_ridge(
    input_BD: torch.Tensor, target_BE: torch.Tensor, weight_B1: torch.Tensor, ridge: float
) -> torch.Tensor:
    """Solve weighted ridge regression to the centered target (D × E), in float64."""
    weight_B1 = (weight_B1 / weight_B1.sum()).double()
    input_BD, target_BE = input_BD.double(), target_BE.double()
    weighted_DB = (input_BD * weight_B1).T
    target_BE = target_BE - (target_BE * weight_B1).sum(0)
    correlation_DD = weighted_DB @ input_BD + ridge * torch.eye(input_BD.shape[1]).double()
    weight_DE: torch.Tensor = torch.linalg.solve(correlation_DD, weighted_DB @ target_BE)
    return weight_DE.float()


def class_prototypes(
    tower: EfficientNetLite, drawn_BD: torch.Tensor, confidence: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Infer each class's mean features, and the overall mean, without photographs.

    A linear classifier whose classes share one covariance Σ has weights w = Σ⁻¹ (μ_class − μ)
    (Fisher 1936), so μ_class = μ + Σ w; Σ is estimated from drawings. The length, undetermined by
    Σ's scale, is chosen so that the class's own logit gains `confidence`.
    """
    with torch.no_grad():
        weight_KD = tower.classifier.weight - tower.classifier.weight.mean(0)
        mean_D = drawn_BD.mean(0)
        centered_BD = drawn_BD - mean_D
        shift_KD = weight_KD @ (centered_BD.T @ centered_BD / len(drawn_BD))
        gain_K1 = (shift_KD * weight_KD).sum(1, keepdim=True)
        return shift_KD * (confidence / gain_K1), mean_D


def imagine_photographs(
    tower: EfficientNetLite, drawn_BD: torch.Tensor, recipe: ImageTextRecipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw features around class prototypes with the drawings' covariance; return classes too."""
    chance = torch.Generator().manual_seed(recipe.seed)
    shift_KD, mean_D = class_prototypes(tower, drawn_BD, recipe.confidence)
    class_B = torch.arange(recipe.imagined) % len(shift_KD)
    strength_B1 = torch.rand(recipe.imagined, 1, generator=chance) * 0.8 + 0.4
    donor_B = torch.randint(len(drawn_BD), (recipe.imagined,), generator=chance)
    spread_BD = recipe.spread * (drawn_BD[donor_B] - mean_D)
    # Features are means of non-negative (ReLU) values.
    features_BD = (mean_D + shift_KD[class_B] * strength_B1 + spread_BD).clamp_min(0)
    return features_BD, class_B


def mean_words(
    images: Sequence[Image], embedding: dict[str, torch.Tensor], center_E: torch.Tensor
) -> torch.Tensor:
    """Return words_KE: the normalized weighted mean of each image's centered text embeddings."""
    rows = []
    for image in images:
        texts_NE = torch.stack([embedding[text] - center_E for text, _ in image.texts])
        weight_N1 = torch.tensor([[weight] for _, weight in image.texts])
        rows.append((F.normalize(texts_NE, dim=1) * weight_N1).sum(0))
    return F.normalize(torch.stack(rows), dim=1)
