"""Learn on, so that the image tower sees in drawn images what it sees in real ones.

Squared errors of pixels are least for a blurred mean of all drawings that fit. What a network of
images sees differs most where something is missing or out of shape (Johnson et al. 2016,
arXiv:1603.08155); added to the loss of the last steps it sharpens what is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from learn import Examples, LearnRecipe, learn_network
from torch.nn import functional as F

from openbind.generation.network import Enlarger, Network
from openbind.model.backbones.efficientnet_lite import EfficientNetLite

RECIPE = LearnRecipe(
    steps=1460, batch=64, matrix_rate=0.008, rate=5e-4, warmup=20, average=0.99, sketch=False
)
SIDE = 128
"""Rows and columns of what the tower sees: a quarter of the cost of its usual size."""
STAGE = 5
"""Of the tower's blocks, whose map is compared, beside the last one."""
WEIGHT = 0.02
"""Its gradients are then some four times those of the pixels."""
SEEN = 24
"""Images of a batch that the tower sees, which takes about as long as all else of a step."""
LATEST = 0.8
"""Time from which so little noise is left that nothing is gained."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The difference of what the tower sees in predicted and in real images.

    Args:
        tower: of images, without gradients of its weights.
        enlarger: before it, likewise.
        count: images of a batch that it sees; their order is random.
    """

    tower: EfficientNetLite
    enlarger: Enlarger
    count: int = SEEN

    def __call__(
        self, clean_BCHW: torch.Tensor, image_BCHW: torch.Tensor, time_B: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean squared distance of unit features, weighted as an addition to a loss."""
        clean_BCHW, image_BCHW, time_B = (
            part[: self.count] for part in (clean_BCHW, image_BCHW, time_B)
        )
        with torch.no_grad():
            wanted = self._look(image_BCHW)
        found = self._look(clean_BCHW)
        far_B = torch.stack([distance(*pair) for pair in zip(found, wanted, strict=True)]).sum(0)
        loss: torch.Tensor = WEIGHT * (far_B * (time_B < LATEST)).mean()
        return loss

    def _look(self, image_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        large = self.enlarger(image_BCHW.clamp(-1.2, 1.2))
        fitted = F.interpolate(large, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        return read_maps(self.tower, fitted)


def read_maps(
    tower: EfficientNetLite, image_BCHW: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the map of a stage, and that of the features before they are averaged."""
    stem_BCHW = tower.stem(image_BCHW.contiguous(memory_format=torch.channels_last), "relu6")
    middle_BCHW, last_BCHW = tower.blocks.read(stem_BCHW, (STAGE,))
    return middle_BCHW, tower.top(last_BCHW, "relu6")


def distance(found_BCHW: torch.Tensor, wanted_BCHW: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance (B,) of maps' unit features."""
    found_BCHW, wanted_BCHW = (F.normalize(each, dim=1) for each in (found_BCHW, wanted_BCHW))
    return (found_BCHW - wanted_BCHW).square().sum(1).mean((1, 2))


def sharpen(
    network: Network,
    enlarger: Enlarger,
    tower: EfficientNetLite,
    examples: Examples,
    folder: Path,
    steps: int,
) -> Network:
    """Learn on from a network; go on from the checkpoint in `folder`, if there is one.

    Args:
        network: that has learned.
        enlarger: of its images.
        tower: of the space.
        examples: that it learned from.
        folder: of the checkpoint.
        steps: at most, as in short tries.
    """
    seen = Seen(tower=tower.requires_grad_(False), enlarger=enlarger.requires_grad_(False))
    recipe = replace(RECIPE, steps=min(steps, RECIPE.steps))
    return learn_network(network.requires_grad_(True), examples, recipe, folder, seen)
