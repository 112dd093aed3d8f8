"""Masking of preprocessed images, depth maps and spectrograms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from openbind.data.augment.operation import Stage, check_axes

TRIES = 10
"""Rectangles drawn until one fits, as torchvision does; then nothing is erased."""


@dataclass(frozen=True, kw_only=True)
class Erase:
    """Random erasing (Zhong et al. 2017, arXiv 1708.04896): a rectangle is masked.

    Ranges are the paper's and torchvision's; the aspect ratio is log-uniform, as there.

    Args:
        probability: of erasing; Table 9 has 0.25.
        area: range of its fraction of the image's area.
        ratio: range of its height over width.
        fill: a value after normalization (0 is the mean where a mean is subtracted); "noise" draws
            each pixel from the standard normal distribution.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 3.3)
    fill: float | Literal["noise"] = 0.0
    stage: ClassVar[Stage] = "tensor"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: expected 0 to 1, found {self.probability}")
        if not 0 < self.area[0] <= self.area[1] <= 1 or not 0 < self.ratio[0] <= self.ratio[1]:
            found = f"{self.area} and {self.ratio}"
            raise ValueError(f"area, ratio: expected 0 < min <= max, found {found}")

    def __call__(self, x: Any, rng: np.random.Generator) -> torch.Tensor:
        """Mask a rectangle of a clip (C, H, W)."""
        clip_CHW = check_axes(x, "CHW", self)
        if rng.random() >= self.probability:
            return clip_CHW
        height, width = clip_CHW.shape[1:]
        for _ in range(TRIES):
            pixels = rng.uniform(*self.area) * height * width
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            rows, columns = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if 0 < rows < height and 0 < columns < width:
                top, left = rng.integers((height - rows + 1, width - columns + 1))
                erased_CHW = clip_CHW.clone()
                hole_CHW = erased_CHW[:, top : top + rows, left : left + columns]
                if self.fill == "noise":
                    hole_CHW.copy_(torch.from_numpy(rng.standard_normal(hole_CHW.shape)))
                else:
                    hole_CHW.fill_(self.fill)
                return erased_CHW
        return clip_CHW


@dataclass(frozen=True, kw_only=True)
class FrequencyMask:
    """Sets a band of neighboring mel bins to 0 (SpecAugment, arXiv 1904.08779, section 2).

    0 as in torchaudio; since features are normalized, that is about the mean of all sounds.

    Args:
        width: maximum number of bins, uniform from 0. Table 9 has 12.
    """

    width: int = 12
    stage: ClassVar[Stage] = "tensor"

    def __post_init__(self) -> None:
        _check_width(self.width)

    def __call__(self, x: Any, rng: np.random.Generator) -> torch.Tensor:
        """Mask a clip (1, F, T)."""
        return _mask(check_axes(x, "CFT", self), 1, self.width, rng)


@dataclass(frozen=True, kw_only=True)
class TimeMask:
    """Sets neighboring frames to 0, as `FrequencyMask` does with bins.

    Args:
        width: maximum number of frames (10 ms each in most front ends); not in the paper.
    """

    width: int
    stage: ClassVar[Stage] = "tensor"

    def __post_init__(self) -> None:
        _check_width(self.width)

    def __call__(self, x: Any, rng: np.random.Generator) -> torch.Tensor:
        """Mask a clip (1, F, T)."""
        return _mask(check_axes(x, "CFT", self), 2, self.width, rng)


def _check_width(width: int) -> None:
    if width < 1:
        raise ValueError(f"width: expected at least 1, found {width}")


def _mask(mel_CFT: torch.Tensor, axis: int, width: int, rng: np.random.Generator) -> torch.Tensor:
    """Set a band of random width and position to 0."""
    size = mel_CFT.shape[axis]
    count = int(rng.integers(min(width, size) + 1))
    start = int(rng.integers(size - count + 1))
    masked_CFT = mel_CFT.clone()
    masked_CFT.narrow(axis, start, count).zero_()
    return masked_CFT
