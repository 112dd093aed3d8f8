"""Learn the head of images against text; both backbones are frozen.

Text keeps MiniLM's space: its head only subtracts the mean embedding of the class names, to remove
what all names have in common. An image's embedding is the mixture of class names predicted by the
classifier, plus a projection of the features. The projection starts as a ridge regression onto
human captions, which alone forgets names; InfoNCE then continues over captions, names of
photographs and captioned drawings together, while the classifier's own probabilities are kept as
a target over its 1,000 names (README.md has the numbers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pairs import Image
from photographs import CAPTIONED, Photograph
from torch import nn
from torch.nn import functional as F
from tqdm import trange

from openbind.model.backbones.efficientnet_lite import EfficientNetLite


@dataclass(frozen=True, kw_only=True)
class ImageTextRecipe:
    """Settings, chosen on validation photographs.

    Args:
        ridge: of the regression onto captions that the projection starts from.
        steps, warmup: of InfoNCE.
        rate: largest learning rate; the mixture's is `mixture_rate` of it.
        decay: of the projection's weights.
        dropout: of the standardized features.
        tau: temperature of all losses.
        captioned: photographs with captions in a batch.
        others: named photographs, and drawings, in a batch.
        kept, named, drawn: weights of the losses beside the captions'.
        extra: weight of the classifier's own mixture that is added at the end.
        seed: of sampling.
    """

    ridge: float = 1.0
    steps: int = 350
    warmup: int = 50
    rate: float = 1e-3
    mixture_rate: float = 0.3
    decay: float = 0.02
    dropout: float = 0.5
    tau: float = 0.07
    captioned: int = 512
    others: int = 192
    kept: float = 0.5
    named: float = 0.3
    drawn: float = 0.6
    extra: float = 20.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What the head learns from; V views of each image, unit text embeddings (E).

    Args:
        captioned_NVD: features of photographs with captions.
        captions_NKE: of each, padded with zeros.
        num_captions_N: of each.
        named_NVD: features of photographs with a name.
        name_N: row of each one's name.
        names_PKE: unit embeddings of all names, in P phrasings.
        drawn_NVD: features of drawings.
        words_NE: of each (`mean_words`).
    """

    captioned_NVD: torch.Tensor
    captions_NKE: torch.Tensor
    num_captions_N: torch.Tensor
    named_NVD: torch.Tensor
    name_N: torch.Tensor
    names_PKE: torch.Tensor
    drawn_NVD: torch.Tensor
    words_NE: torch.Tensor


PHRASINGS = ("{}", "a photo of a {}")
"""Of the names of photographs, taken in turn."""


def texts_of(photographs: Sequence[Photograph]) -> set[str]:
    """Return all texts whose embeddings `gather_examples` needs."""
    texts = {text for photograph in photographs for text in photograph.texts}
    names = {text for p in photographs if p.set != CAPTIONED for text in p.texts}
    return texts | {phrasing.format(name) for phrasing in PHRASINGS for name in names}


def gather_examples(
    photographs: Sequence[Photograph],
    features_NVD: torch.Tensor,
    drawn_MVD: torch.Tensor,
    words_ME: torch.Tensor,
    embedding: Mapping[str, torch.Tensor],
    center_E: torch.Tensor,
) -> Examples:
    """Sort what the head learns from.

    Args:
        photographs: to learn from.
        features_NVD: of each one's views.
        drawn_MVD: of drawings' views.
        words_ME: of each drawing.
        embedding: of every text.
        center_E: the mean that is subtracted from embeddings of texts.
    """

    def embed(texts: Sequence[str]) -> torch.Tensor:
        return F.normalize(torch.stack([embedding[text] for text in texts]) - center_E, dim=1)

    captioned = [n for n, p in enumerate(photographs) if p.set == CAPTIONED]
    named = [n for n, p in enumerate(photographs) if p.set != CAPTIONED]
    captions = [embed(photographs[n].texts) for n in captioned]
    keys = [(photographs[n].set, photographs[n].texts[0]) for n in named]
    names = sorted(set(keys))
    return Examples(
        captioned_NVD=features_NVD[captioned],
        captions_NKE=nn.utils.rnn.pad_sequence(captions, True),
        num_captions_N=torch.tensor([len(own) for own in captions]),
        named_NVD=features_NVD[named],
        name_N=torch.tensor([names.index(key) for key in keys]),
        names_PKE=torch.stack(
            [embed([phrasing.format(name) for _, name in names]) for phrasing in PHRASINGS]
        ),
        drawn_NVD=drawn_MVD,
        words_NE=words_ME,
    )


class ImageHead(nn.Module):
    """The tower's mixture and projection, on precomputed features.

    Args:
        tower: with the classifier.
        names_KE: centered embeddings of the class names, not normalized: less distinct names, which
            are near the center, have less influence.
        features_BD: of photographs, for their mean and deviation.
        dropout: of the standardized features, while training.
    """

    def __init__(
        self,
        tower: EfficientNetLite,
        names_KE: torch.Tensor,
        features_BD: torch.Tensor,
        dropout: float,
    ) -> None:
        super().__init__()
        self.temperature = tower.config.temperature
        self.mean_D, self.std_D = features_BD.mean(0), features_BD.std(0) + 1e-3
        self.names_KE, self.dropout = names_KE, nn.Dropout(dropout)
        self.mixture_KE = nn.Parameter(names_KE.clone())
        self.projection = nn.Linear(features_BD.shape[1], names_KE.shape[1])
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, features_BD: torch.Tensor, logits_BK: torch.Tensor) -> torch.Tensor:
        """Return unit embeddings of images."""
        mixture_BE = (logits_BK / self.temperature).softmax(-1) @ self.mixture_KE
        standard_BD = (features_BD - self.mean_D) / self.std_D
        embed_BE = mixture_BE + self.projection(self.dropout(standard_BD))
        return F.normalize(embed_BE, dim=-1)

    def start(self, features_BD: torch.Tensor, target_BE: torch.Tensor, ridge: float) -> None:
        """Set the projection to a ridge regression."""
        standard_BD = (features_BD - self.mean_D) / self.std_D
        weight_B1 = torch.ones(len(standard_BD), 1)
        with torch.no_grad():
            self.projection.weight.copy_(solve_ridge(standard_BD, target_BE, weight_B1, ridge).T)

    def write(self, tower: EfficientNetLite, extra: float) -> None:
        """Set the tower's mixture and projection."""
        weight_ED = self.projection.weight / self.std_D
        with torch.no_grad():
            tower.mixture.weight.copy_((self.mixture_KE + extra * self.names_KE).T)
            tower.projection.weight.copy_(weight_ED)
            tower.projection.bias.copy_(self.projection.bias - weight_ED @ self.mean_D)


def learn_image_head(
    tower: EfficientNetLite, examples: Examples, names_KE: torch.Tensor, recipe: ImageTextRecipe
) -> None:
    """Learn the tower's mixture and projection.

    Args:
        tower: a converted backbone.
        examples: to learn from.
        names_KE: centered embeddings of the classifier's class names.
        recipe: the settings.
    """
    torch.manual_seed(recipe.seed)
    data = examples
    head = ImageHead(tower, names_KE, data.captioned_NVD[:, 0], recipe.dropout)
    mean_NE = data.captions_NKE.sum(1) / data.num_captions_N[:, None]
    head.start(data.captioned_NVD.mean(1), mean_NE, recipe.ridge)
    logits = {
        name: classify(tower, features_NVD)
        for name, features_NVD in (
            ("captioned", data.captioned_NVD),
            ("named", data.named_NVD),
            ("drawn", data.drawn_NVD),
        )
    }
    rates = (recipe.rate * recipe.mixture_rate, recipe.rate)
    groups = [
        {"params": [head.mixture_KE], "weight_decay": 0.0},
        {"params": list(head.projection.parameters()), "weight_decay": recipe.decay},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
    for step in trange(recipe.steps, desc="image head", disable=None):
        falling = 0.5 * (1 + np.cos(np.pi * step / recipe.steps))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * falling * min(1, (step + 1) / recipe.warmup)
        loss = compute_loss(head, data, logits, recipe, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval().write(tower, recipe.extra)


def classify(tower: EfficientNetLite, features_NVD: torch.Tensor) -> torch.Tensor:
    """Return the classifier's logits (N, V, K)."""
    with torch.no_grad():
        chunks = features_NVD.split(256)
        return torch.cat([tower.classifier(chunk) for chunk in chunks])


def compute_loss(
    head: ImageHead,
    data: Examples,
    logits: dict[str, torch.Tensor],
    recipe: ImageTextRecipe,
    step: int,
) -> torch.Tensor:
    """Return the loss of a random batch of each kind of example."""
    names_KE, tau = F.normalize(head.names_KE, dim=1), recipe.tau
    row_B, features_BD, logits_BK = draw(data.captioned_NVD, logits["captioned"], recipe.captioned)
    image_BE = head(features_BD, logits_BK)
    caption_B = (torch.rand(len(row_B)) * data.num_captions_N[row_B]).long()
    captions_BE = data.captions_NKE[row_B, caption_B]
    loss = contrast(image_BE, captions_BE, row_B[:, None] == row_B, tau)
    loss = loss + recipe.kept * keep_classes(image_BE, logits_BK, names_KE, tau)
    row_B, features_BD, logits_BK = draw(data.named_NVD, logits["named"], recipe.others)
    image_BE = head(features_BD, logits_BK)
    phrasing_KE = data.names_PKE[step % len(data.names_PKE)]
    named = F.cross_entropy(image_BE @ phrasing_KE.T / tau, data.name_N[row_B])
    loss = loss + recipe.named * named
    loss = loss + 0.3 * recipe.kept * keep_classes(image_BE, logits_BK, names_KE, tau)
    row_B, features_BD, logits_BK = draw(data.drawn_NVD, logits["drawn"], recipe.others)
    words_BE = data.words_NE[row_B]
    same_BB = words_BE @ words_BE.T > 0.95
    return loss + recipe.drawn * contrast(head(features_BD, logits_BK), words_BE, same_BB, tau)


def draw(
    features_NVD: torch.Tensor, logits_NVK: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw images, and a view of each; return their rows, features and logits."""
    row_B = torch.randint(len(features_NVD), (count,))
    view_B = torch.randint(features_NVD.shape[1], (count,))
    return row_B, features_NVD[row_B, view_B], logits_NVK[row_B, view_B]


def contrast(
    image_BE: torch.Tensor, text_BE: torch.Tensor, same_BB: torch.Tensor, tau: float
) -> torch.Tensor:
    """Return symmetric InfoNCE; pairs of the same thing aren't each other's negatives."""
    others_BB = same_BB & ~torch.eye(len(image_BE), dtype=torch.bool)
    logits_BB = (image_BE @ text_BE.T / tau).masked_fill(others_BB, -1e4)
    own_B = torch.arange(len(image_BE))
    return (F.cross_entropy(logits_BB, own_B) + F.cross_entropy(logits_BB.T, own_B)) / 2


def keep_classes(
    image_BE: torch.Tensor, logits_BK: torch.Tensor, names_KE: torch.Tensor, tau: float
) -> torch.Tensor:
    """Return the cross entropy of naming by text against the classifier's probabilities."""
    named_BK = (image_BE @ names_KE.T / tau).log_softmax(-1)
    return -(logits_BK.softmax(-1) * named_BK).sum(1).mean()


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


def mean_texts(
    photographs: Sequence[Photograph], embedding: Mapping[str, torch.Tensor], center_E: torch.Tensor
) -> torch.Tensor:
    """Return words_NE: the normalized mean of each photograph's centered text embeddings."""
    rows = [
        F.normalize(torch.stack([embedding[t] for t in p.texts]) - center_E, dim=1).mean(0)
        for p in photographs
    ]
    return F.normalize(torch.stack(rows), dim=1)
