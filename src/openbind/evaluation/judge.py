"""An independent judge of drawn images: a classifier that is no part of the space.

The one that ships is EfficientNet-Lite0 with 8 bits per weight and a linear probe on real drawings
(recipes/starter/generator). It shares no weights with the starter, whose image tower is
EfficientNet-Lite2, but its kind and ImageNet. A judge of one's own is any object with the methods
of `Judge`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from openbind.errors import CheckpointError, first_line
from openbind.generation.small import pack, unpack
from openbind.model.backbones.efficientnet_lite import (
    LITE2_STAGES,
    EfficientNetLite,
    EfficientNetLiteConfig,
)

LITE0_STAGES = tuple(
    replace(stage, repeats=repeats, channels=channels)
    for stage, repeats, channels in zip(
        LITE2_STAGES, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), strict=True
    )
)
PIXELS = 224
JUDGED_PIXELS = 64
"""All images are judged at this size, drawn and real ones alike."""
BATCH = 16


class Judge(Protocol):
    """Sees and names images."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it can name."""
        ...

    def features(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return a unit vector of each image, to compare images by."""
        ...

    def classify(self, features_ND: np.ndarray) -> np.ndarray:
        """Return logits (N, names) of such vectors."""
        ...


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A linear classifier on standardized features of unit length.

    Args:
        names: of the classes.
        mean_D, scale_D: of the features.
        weight_KD, bias_K: of the classifier.
    """

    names: tuple[str, ...]
    mean_D: torch.Tensor
    scale_D: torch.Tensor
    weight_KD: torch.Tensor
    bias_K: torch.Tensor

    def standardize(self, features_ND: torch.Tensor) -> torch.Tensor:
        """Return unit vectors of features."""
        return F.normalize((features_ND - self.mean_D) / self.scale_D, dim=1)


class EfficientNetJudge:
    """EfficientNet-Lite0 with a probe; a `Judge`."""

    def __init__(self, tower: EfficientNetLite, probe: Probe) -> None:
        self.tower, self.probe = tower, probe

    @property
    def names(self) -> tuple[str, ...]:
        """What it can name."""
        return self.probe.names

    def features(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return a unit vector of each image, to compare images by."""
        return self.probe.standardize(read_features(self.tower, images)).numpy()

    def classify(self, features_ND: np.ndarray) -> np.ndarray:
        """Return logits (N, names) of such vectors."""
        weight_DK = self.probe.weight_KD.T.numpy()
        return np.asarray(features_ND @ weight_DK + self.probe.bias_K.numpy())


def blank_tower() -> EfficientNetLite:
    """Return EfficientNet-Lite0 with random weights; its heads aren't used."""
    config = EfficientNetLiteConfig(stages=LITE0_STAGES, num_classes=1, embed_dim=1)
    return EfficientNetLite(config).eval()


def read_features(tower: EfficientNetLite, images: Sequence[Image.Image]) -> torch.Tensor:
    """Return the tower's features (N, D) of images, seen at `JUDGED_PIXELS`."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            seen = [see(image) for image in images[start : start + BATCH]]
            found.append(tower.features(torch.stack(seen)))
    return torch.cat(found)


def see(image: Image.Image) -> torch.Tensor:
    """Return an image's pixels (3, H, W) as the tower takes them."""
    small = image.convert("RGB").resize((JUDGED_PIXELS,) * 2, Image.Resampling.BOX)
    large = np.array(small.resize((PIXELS,) * 2, Image.Resampling.BICUBIC), np.float32)
    return torch.from_numpy((large - 127) / 128).permute(2, 0, 1)


def shipped_judge() -> Path:
    """Return the file of the judge that ships."""
    return Path(str(files("openbind"))) / "assets" / "judge" / "efficientnet_lite0.safetensors"


def write_judge(judge: EfficientNetJudge, path: Path) -> None:
    """Write a judge to a file, its larger weights with 8 bits."""
    tensors: dict[str, torch.Tensor] = {}
    for name, value in judge.tower.state_dict().items():
        if not name.startswith(("classifier", "mixture", "projection")):
            tensors |= pack(f"tower.{name}", value)
    for name in ("mean_D", "scale_D", "weight_KD", "bias_K"):
        tensors |= pack(f"probe.{name}", getattr(judge.probe, name))
    save_file(tensors, path, metadata={"names": json.dumps(judge.names)})


def read_judge(path: Path) -> EfficientNetJudge:
    """Read a judge from a file.

    Raises:
        CheckpointError: it is no such file, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            names = tuple(json.loads((file.metadata() or {})["names"]))
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tensors, tower = unpack(stored), blank_tower()
        own = {n.removeprefix("tower."): v for n, v in tensors.items() if n.startswith("tower.")}
        tower.load_state_dict({**tower.state_dict(), **own})
        parts = {
            name: tensors[f"probe.{name}"] for name in ("mean_D", "scale_D", "weight_KD", "bias_K")
        }
        return EfficientNetJudge(tower.requires_grad_(False), Probe(names=names, **parts))
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(path, f"not a judge, or damaged ({first_line(error)})") from error
