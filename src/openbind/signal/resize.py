"""Resizing and cropping of images and frames, and conversion to normalized arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

Triple = tuple[float, float, float]
LONGEST = 50
"""Times the shorter side, up to which the whole longer side of an image is resized."""
FILTER_REACH = 4
"""Pixels at the coarser scale, beyond the support of PIL's filters."""


def resize_short_side(
    image: Image.Image, size: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Resize so that the shorter side has `size` pixels; the longer one is rounded down.

    Same as torchvision's `Resize(size)` on PIL images, antialiased (spec 3.1).
    """
    width, height = image.size
    short = min(width, height)
    scaled = (int(size * width / short), int(size * height / short))
    return image if scaled == image.size else image.resize(scaled, filter)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Crop a square from the center; the offset is rounded half to even, as in torchvision."""
    width, height = image.size
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def resize_and_crop(
    image: Image.Image,
    size: int,
    filter: Image.Resampling = Image.Resampling.BICUBIC,
    full_size: tuple[int, int] | None = None,
) -> Image.Image:
    """Resize by `resize_short_side`, then take the square by `center_crop`.

    Of images that are more than `LONGEST` times as long as wide only the square is resized, which
    is the same but for rounding.

    Args:
        image: of any mode.
        size: rows and columns.
        filter: of the resizing, always antialiased.
        full_size: width and height of an image that was reduced, if their ratio isn't its own.
    """
    width, height = full_size or image.size
    short = min(width, height)
    scaled = (int(size * width / short), int(size * height / short))
    if max(width, height) <= LONGEST * short:
        resized = image if scaled == image.size else image.resize(scaled, filter)
        return center_crop(resized, size)
    left, top = round((scaled[0] - size) / 2.0), round((scaled[1] - size) / 2.0)
    across, down = image.width / scaled[0], image.height / scaled[1]
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return _resize_box(image, size, box, filter)


def _resize_box(
    image: Image.Image,
    size: int,
    box: tuple[float, float, float, float],
    filter: Image.Resampling,
) -> Image.Image:
    """Resize a part, after cutting it out with what the filter reaches around it."""
    left, top, right, bottom = box
    reach = FILTER_REACH * max(1.0, (right - left) / size)
    first = (max(0, math.floor(left - reach)), max(0, math.floor(top - reach)))
    part = image.crop((*first, math.ceil(right + reach), math.ceil(bottom + reach)))
    part = part.crop((0, 0, min(part.width, image.width - first[0]), image.height - first[1]))
    inner = (left - first[0], top - first[1], right - first[0], bottom - first[1])
    return part.resize((size, size), filter, inner)


def normalize(image: Image.Image, mean: Triple, std: Triple) -> np.ndarray:
    """Return the normalized pixels of an RGB image, image_CHW float32.

    Args:
        image: RGB.
        mean, std: of values in [0, 1], per channel.
    """
    image_CHW = np.asarray(image).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    mean_C11, std_C11 = (np.asarray(part, np.float32)[:, None, None] for part in (mean, std))
    return np.ascontiguousarray((image_CHW - mean_C11) / std_C11)


def resize_frames(frames_CTHW: torch.Tensor, size: int) -> torch.Tensor:
    """Resize video frames so that the shorter side has `size` pixels; the longer is rounded down.

    Bilinear without antialiasing, corners not aligned, as the reference does for video but not
    for images (spec 3.2).

    Args:
        frames_CTHW: float; (..., H, W) with at least two axes before them.
        size: of the shorter side.
    """
    import torch.nn.functional as F

    height, width = frames_CTHW.shape[-2:]
    # Divided first, as in the reference: rounding loses a pixel of some even ratios
    # (230 / 112 · 224 is 459).
    longer = math.floor(max(height, width) / min(height, width) * size)
    scaled = (longer, size) if height > width else (size, longer)
    if scaled == (height, width):
        return frames_CTHW
    return F.interpolate(frames_CTHW, size=scaled, mode="bilinear", align_corners=False)


def crop_thrice(frames_CTHW: torch.Tensor, size: int) -> torch.Tensor:
    """Crop squares from the start, the center and the end of the longer side (spec 3.2).

    Args:
        frames_CTHW: (..., H, W), the shorter side is `size`.
        size: side of the squares.

    Returns:
        crops_SCTHW: (3, ..., size, size): left, center, right if the frames are at least as wide
        as high, else top, center, bottom; the center's offset is rounded up.

    Raises:
        ValueError: frames smaller than the crop.
    """
    import torch

    height, width = frames_CTHW.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"can't crop {size} × {size} from frames of {height} × {width}")
    center_row, center_column = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if width >= height:
        corners = [(center_row, left) for left in (0, center_column, width - size)]
    else:
        corners = [(top, center_column) for top in (0, center_row, height - size)]
    return torch.stack(
        [frames_CTHW[..., top : top + size, left : left + size] for top, left in corners]
    )
