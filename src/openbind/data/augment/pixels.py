"""Operations on RGB images, before preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from openbind.data.augment.operation import Stage, check_image

Change = Callable[[Image.Image, float, int], Image.Image]
"""(image, level in [0, 1], sign 1 or -1) → changed image of the same size."""

FILL = (128, 128, 128)
"""Color of pixels from outside the image, gray as in timm."""
BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Scales brightness, contrast and saturation by random factors, in random order.

    As torchvision's ColorJitter. One strength for these three, without hue, is timm's and DeiT's
    convention.

    Args:
        strength: factors are uniform from 1 - strength (at least 0) to 1 + strength; Table 9
            has 0.4.
    """

    strength: float = 0.4
    stage: ClassVar[Stage] = "item"

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError(f"strength: expected 0 or more, found {self.strength}")

    def __call__(self, x: Any, rng: np.random.Generator) -> Image.Image:
        """Return a jittered image."""
        image = check_image(x, self)
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for index in rng.permutation(len(enhancers)):
            factor = rng.uniform(max(0.0, 1 - self.strength), 1 + self.strength)
            image = enhancers[index](image).enhance(factor)
        return image


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """RandAugment (arXiv 1909.13719), as timm's `rand-m9-mstd0.5-inc1`.

    "9/0.5" in Table 9 is DeiT's notation (arXiv 2012.12877, Table 9), whose code has `inc1`: all
    changes grow with the magnitude. Each change is drawn from `CHANGES` and applied with a
    probability of one half.

    Args:
        layers: number of changes drawn.
        magnitude: mean magnitude of a change, of 10.
        std: standard deviation of the magnitude, which is clipped to [0, 10].
    """

    layers: int = 2
    magnitude: float = 9.0
    std: float = 0.5
    stage: ClassVar[Stage] = "item"

    def __post_init__(self) -> None:
        if self.layers < 1 or self.std < 0 or not 0 <= self.magnitude <= 10:
            raise ValueError(
                "expected layers of at least 1, a magnitude in [0, 10] and a std of 0 or more, "
                f"found {self.layers}, {self.magnitude} and {self.std}"
            )

    def __call__(self, x: Any, rng: np.random.Generator) -> Image.Image:
        """Return a jittered image."""
        image = check_image(x, self)
        changes = list(CHANGES.values())
        for index in rng.integers(len(changes), size=self.layers):
            if rng.random() < 0.5:
                level = min(max(rng.normal(self.magnitude, self.std), 0.0), 10.0) / 10
                image = changes[index](image, level, int(rng.choice((-1, 1))))
        return image


def _enhance(enhancer: Callable[[Image.Image], ImageEnhance._Enhance]) -> Change:
    return lambda image, level, sign: enhancer(image).enhance(1 + sign * 0.9 * level)


def _affine(image: Image.Image, *row_major: float) -> Image.Image:
    """Sample pixel (x, y) from (a x + b y + c, d x + e y + f)."""
    affine = Image.Transform.AFFINE
    return image.transform(image.size, affine, row_major, BILINEAR, fillcolor=FILL)


def _solarize_add(image: Image.Image, level: float, sign: int) -> Image.Image:
    """Brighten the darker half of the values."""
    added = int(110 * level)
    return image.point([min(255, v + added) if v < 128 else v for v in range(256)] * 3)


CHANGES: dict[str, Change] = {
    "autocontrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "invert": lambda image, level, sign: ImageOps.invert(image),
    # Up to 30°.
    "rotate": lambda image, level, sign: image.rotate(30 * level * sign, BILINEAR, fillcolor=FILL),
    # From 4 bits per channel to 1; timm continues to 0, a black image.
    "posterize": lambda image, level, sign: ImageOps.posterize(image, max(1, 4 - int(4 * level))),
    # From 256 (no value) to 0 (all values).
    "solarize": lambda image, level, sign: ImageOps.solarize(image, 256 - int(256 * level)),
    "solarize_add": _solarize_add,
    # From 1 to 0.1 or 1.9.
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    # Up to 0.3 columns per row, or rows per column.
    "shear_x": lambda image, level, sign: _affine(image, 1, 0.3 * level * sign, 0, 0, 1, 0),
    "shear_y": lambda image, level, sign: _affine(image, 1, 0, 0, 0.3 * level * sign, 1, 0),
    # Up to 0.45 of the width, or of the height.
    "translate_x": lambda image, level, sign: _affine(
        image, 1, 0, 0.45 * level * sign * image.width, 0, 1, 0
    ),
    "translate_y": lambda image, level, sign: _affine(
        image, 1, 0, 0, 0, 1, 0.45 * level * sign * image.height
    ),
}
"""The changes of `RandAugment`; operations and ranges are timm's increasing ones
(`timm/data/auto_augment.py`)."""
