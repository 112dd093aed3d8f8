"""Maps: images of measurements (depth, temperature), at their full precision."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.media.arrays import is_array, is_tensor, load_array, looks_like_numpy, to_numpy
from openbind.media.image import MAX_PIXELS, open_image
from openbind.media.source import open_source

LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601), as in PIL's conversion to gray."""


def read_map(source: Any, color: Literal["refuse", "luminance"] = "refuse") -> np.ndarray:
    """Read an image of measurements.

    Args:
        source: path or bytes of an image (8, 16 or 32 bits) or of a `.npy` file; PIL image;
            array (H, W), (H, W, 1) or (H, W, 3); tensor of PyTorch (H, W) or (1 | 3, H, W).
        color: of images with three different channels, "luminance" takes the weighted mean, and
            "refuse" raises an error. Three equal channels are read as one.

    Returns:
        map_HW: integers in their stored type, everything else float32. NaN and infinite values
        are kept, as marks of missing values. The source isn't modified.

    Raises:
        InputError: missing, empty, truncated, not an image, too large, or in color.
    """
    if isinstance(source, Image.Image):
        values = _from_image(source)
    elif is_array(source):
        values = _channels_last(to_numpy(source, source), source)
    elif looks_like_numpy(opened := open_source(source)):
        values = load_array(opened, source)
    else:
        with open_image(source) as image:
            values = _from_image(image)
    return _checked(_single(values, color, source), source)


def _from_image(image: Image.Image) -> np.ndarray:
    """Return an image's values; palettes and other colors as (H, W, 3)."""
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        values = np.array(image)
        # PyTorch takes the machine's byte order only.
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.array(image.convert("RGB"))


def _channels_last(values: np.ndarray, source: Any) -> np.ndarray:
    if is_tensor(source) and values.ndim == 3:
        return values.transpose(1, 2, 0)
    return values


def _single(values: np.ndarray, color: str, source: Any) -> np.ndarray:
    """Reduce (H, W, 1) and (H, W, 3) to (H, W)."""
    if values.ndim == 2:
        return values
    if values.ndim != 3 or values.shape[2] not in (1, 3):
        raise InputError(source, f"expected a map (H, W), found {values.shape}")
    first = values[:, :, 0]
    if values.shape[2] == 1 or all(np.array_equal(first, values[:, :, i]) for i in (1, 2)):
        return first
    if color == "luminance":
        return np.asarray(values @ LUMINANCE, dtype=np.float32)
    raise InputError(source, "in color; expected one channel of measurements, as raw counts")


def _checked(values: np.ndarray, source: Any) -> np.ndarray:
    if values.dtype.kind not in "iufb":
        raise InputError(source, f"expected numbers, found {values.dtype}")
    height, width = values.shape
    if height * width > MAX_PIXELS:
        raise InputError(source, f"{width} × {height} pixels, more than {MAX_PIXELS:,}; refused")
    if not values.size:
        raise InputError(source, f"empty map: {width} × {height} pixels")
    if values.dtype.kind == "f":
        return np.array(values, dtype=np.float32, order="C")
    return np.array(values.astype(np.uint8) if values.dtype.kind == "b" else values, order="C")
