"""Thermal: long-wave infrared images.

Input   path, bytes, PIL image, array (H, W) or tensor: 8-bit gray, 16-bit raw counts, or float
        temperatures.
Tensor  thermal_BCHW float32 (batch, 1, 224, 224) in [0, 1], not normalized.
Scale   10, the paper's temperature 0.1 (Table 9).
Source  spec 3.6: [0, 1] without mean and std reproduces LLVIP (62.4 of 63.4; 55.2 with).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openbind.configs import Divisor, Side
from openbind.errors import InputError
from openbind.limits import check_limit
from openbind.media.drawing import draw_map, subsample
from openbind.media.maps import luminance, read_map
from openbind.media.radiometric import read_celsius
from openbind.media.reduction import convert_map
from openbind.modalities.spec import Extent, Modality, Part, Preprocess, Sample
from openbind.signal.resize import resize_and_crop
from openbind.signal.thermal import display_range, mark_missing, replace_telemetry

MEASURING_BYTES = 40
"""Memory a pixel while the range of a thermal image is measured."""


@dataclass(frozen=True, kw_only=True)
class ThermalSettings:
    """Everything that decides the pixels of a tower's input.

    Args:
        size: rows and columns.
        radiometric: files hold temperatures: JPEGs of FLIR cameras, read instead of their image
            (extra "flir"), or 16-bit TIFFs and PNGs in centikelvin. All become °C.
        low, high: counts or temperatures that become 0 and 1; others are clipped. None means 0
            and 255 for 8 bits, and each image's own minimum and maximum otherwise, without
            missing values, dead pixels and rows of telemetry (`signal/thermal.py`).
        mean, std: final normalization.
    """

    size: Side = 224
    radiometric: bool = False
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    std: Divisor = 1.0


def prepare(settings: ThermalSettings, folder: Path | None) -> Preprocess:
    """Return the function from a thermal image to its pixels (1, 1, size, size)."""

    def preprocess(item: Any) -> Sample:
        part = Part.of(item)
        map_HW, own_range = _measure(part.item, settings.radiometric)
        is_displayed = map_HW.dtype == np.uint8

        def convert(rows_HW: np.ndarray) -> np.ndarray:
            unit_HW = _to_unit(rows_HW, own_range, settings)
            # 8-bit images are scaled as images, as in the recipe that reproduced the paper.
            return np.round(unit_HW * 255).astype(np.uint8) if is_displayed else unit_HW

        # Scaled to the whole image's range: a part looks as it does in the whole.
        image = Image.fromarray(convert_map(part.view.crop(map_HW), convert))
        fitted = resize_and_crop(image, settings.size)
        values_HW = np.asarray(fitted, dtype=np.float32) / (255 if fitted.mode == "L" else 1)
        scaled_HW = (values_HW - settings.mean) / settings.std
        clip_11HW = torch.from_numpy(scaled_HW)[None, None]
        return Sample(clip_11HW, extent=Extent.center(image.size))

    return preprocess


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Draw a thermal image in false colors: hot is light.

    Raises:
        InputError: the item is unusable.
    """
    return draw_map(subsample(read_map(item, color="luminance"), size), size)


def _measure(item: Any, radiometric: bool) -> tuple[np.ndarray, tuple[float, float]]:
    """Return a map of 8 bits, counts or temperatures, and its range."""
    map_HW = read_celsius(item) if radiometric else read_map(item, color="keep")
    is_displayed = map_HW.dtype == np.uint8
    if map_HW.ndim == 3:
        # Cameras also write gray images in color, with equal or nearly equal channels.
        map_HW = luminance(map_HW)
    if map_HW.dtype == np.uint8:
        return map_HW, (0.0, 255.0)
    if is_displayed:
        return map_HW, (float(map_HW.min()), float(map_HW.max()))
    check_limit("bytes", map_HW.size * MEASURING_BYTES, item)
    map_HW = mark_missing(replace_telemetry(map_HW))
    if not np.isfinite(map_HW).any():
        raise InputError(item, "has no finite values")
    return map_HW, display_range(map_HW.astype(np.float64))


def _to_unit(
    map_HW: np.ndarray, own_range: tuple[float, float], settings: ThermalSettings
) -> np.ndarray:
    """Scale counts or temperatures to [0, 1], float32."""
    values_HW = map_HW.astype(np.float64)
    is_finite_HW = np.isfinite(values_HW)
    low = own_range[0] if settings.low is None else settings.low
    high = own_range[1] if settings.high is None else settings.high
    # An image of one value has no range: all of it becomes 0.
    unit_HW = (np.where(is_finite_HW, values_HW, low) - low) / (high - low if high > low else 1.0)
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
    version=2,
    apply_view=Part,
    thumbnail=thumbnail,
)
