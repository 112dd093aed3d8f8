"""Thermal: long-wave infrared images.

Input   path, bytes, PIL image, array (H, W) or tensor: 8-bit gray, 16-bit raw counts, or float
        temperatures.
Tensor  thermal_BCHW float32 (batch, 1, 224, 224) in [0, 1], not normalized.
Scale   10, the paper's temperature 0.1 (Table 9).
Source  spec 3.6: [0, 1] without mean and std reproduces LLVIP (62.4 of 63.4; 55.2 with).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.media.drawing import draw_map
from openbind.media.maps import read_map
from openbind.media.radiometric import read_celsius
from openbind.modalities.spec import Modality, Part, Preprocess, Sample
from openbind.signal.resize import center_crop, resize_short_side


@dataclass(frozen=True, kw_only=True)
class ThermalSettings:
    """What decides the pixels that a tower gets.

    Args:
        size: rows and columns.
        radiometric: files are JPEGs of FLIR's cameras; their temperatures are read, not their
            image (extra "flir").
        low, high: counts or temperatures that become 0 and 1; others are clipped. None takes 0
            and 255 for 8 bits, and each image's own least and greatest for all else.
        mean, std: subtracted and divided by at the end.
    """

    size: int = 224
    radiometric: bool = False
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    std: float = 1.0


def prepare(settings: ThermalSettings, folder: Path | None) -> Preprocess:
    """Return the function from a thermal image to its pixels (1, 1, size, size)."""

    def preprocess(item: Any) -> Sample:
        part = Part.of(item)
        # Cameras write their gray images as color, too: equal or nearly equal channels.
        read = read_celsius if settings.radiometric else partial(read_map, color="luminance")
        map_HW = read(part.item)
        # Cut after the values got their range: a part looks as it does in the whole.
        unit_HW = part.view.crop(_to_unit(map_HW, settings, part.item))
        # 8-bit images are scaled as images, as in the recipe that reproduced the paper.
        image = (
            Image.fromarray(np.round(unit_HW * 255).astype(np.uint8))
            if (map_HW.dtype == np.uint8)
            else Image.fromarray(unit_HW)
        )
        fitted = center_crop(resize_short_side(image, settings.size), settings.size)
        values_HW = np.asarray(fitted, dtype=np.float32) / (255 if fitted.mode == "L" else 1)
        scaled_HW = (values_HW - settings.mean) / settings.std
        return Sample(torch.from_numpy(scaled_HW)[None, None])

    return preprocess


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Color a thermal image: the hotter, the lighter.

    Raises:
        InputError: the item can't be used.
    """
    return draw_map(read_map(item, color="luminance").astype(np.float64), size)


def _to_unit(map_HW: np.ndarray, settings: ThermalSettings, item: Any) -> np.ndarray:
    """Bring counts or temperatures to [0, 1], float32."""
    values_HW = map_HW.astype(np.float64)
    good_HW = np.isfinite(values_HW)
    if not good_HW.any():
        raise InputError(item, "has no finite values")
    own = (
        (0.0, 255.0)
        if map_HW.dtype == np.uint8
        else (float(values_HW[good_HW].min()), float(values_HW[good_HW].max()))
    )
    low = own[0] if settings.low is None else settings.low
    high = own[1] if settings.high is None else settings.high
    # A image of one value has no range: it is as cold as can be.
    unit_HW = (np.where(good_HW, values_HW, low) - low) / (high - low if high > low else 1.0)
    return np.asarray(unit_HW.clip(0, 1), dtype=np.float32)


MODALITY = Modality(
    name="thermal",
    accepts="a path, bytes, PIL image or array (H, W): 8-bit, raw counts, or temperatures",
    settings=ThermalSettings,
    prepare=prepare,
    clip_dims=3,
    array_dims=2,
    has_clips=False,
    tower="thermal",
    scale=10.0,
    apply_view=Part,
    thumbnail=thumbnail,
)
