"""Sizes of images and frames, crops, and the step from pixels to a normalized tensor."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

Triple = tuple[float, float, float]


def resize_short_side(
    image: Image.Image, size: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Scale so that the shorter side has `size` pixels; the longer one is rounded down.

    The rule of torchvision's `Resize(size)` on PIL images, antialiased (spec 3.1).
    """
    width, height = image.size
    short = min(width, height)
    scaled = (int(size * width / short), int(size * height / short))
    return image if scaled == image.size else image.resize(scaled, filter)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Cut a square from the middle; the offset is rounded half to even, as torchvision does."""
    width, height = image.size
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Return the pixels of an RGB or gray image as image_CHW float32 in [0, 1]."""
    values = np.array(image)
    if values.ndim == 2:
        values = values[:, :, None]
    return torch.from_numpy(values).permute(2, 0, 1).float().div_(255)


def normalize(image_CHW: torch.Tensor, mean: Triple, std: Triple) -> torch.Tensor:
    """Subtract the mean and divide by the deviation of each channel."""
    return (image_CHW - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


def resize_frames(frames_CTHW: torch.Tensor, size: int) -> torch.Tensor:
    """Scale video frames so that the shorter side has `size` pixels; the longer is rounded down.

    Bilinear without antialiasing, corners not aligned, as the reference does for video, unlike
    for images (spec 3.2).

    Args:
        frames_CTHW: float; (..., H, W) with at least two axes before them.
        size: of the shorter side.
    """
    height, width = frames_CTHW.shape[-2:]
    # Divided first, as the reference does: rounding then loses a pixel of some even ratios
    # (230 / 112 · 224 gives 459).
    longer = math.floor(max(height, width) / min(height, width) * size)
    scaled = (longer, size) if height > width else (size, longer)
    if scaled == (height, width):
        return frames_CTHW
    return F.interpolate(frames_CTHW, size=scaled, mode="bilinear", align_corners=False)


def crop_thrice(frames_CTHW: torch.Tensor, size: int) -> torch.Tensor:
    """Cut squares from the start, the middle and the end of the longer side (spec 3.2).

    Args:
        frames_CTHW: (..., H, W) of which the shorter side is `size`.
        size: of the squares.

    Returns:
        crops_SCTHW: (3, ..., size, size): left, middle, right where the frames are at least as
        wide as high, else top, middle, bottom; the middle's offset is rounded up.

    Raises:
        ValueError: frames smaller than the crop.
    """
    height, width = frames_CTHW.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"can't cut {size} × {size} from frames of {height} × {width}")
    middle_row, middle_column = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if width >= height:
        corners = [(middle_row, left) for left in (0, middle_column, width - size)]
    else:
        corners = [(top, middle_column) for top in (0, middle_row, height - size)]
    return torch.stack(
        [frames_CTHW[..., top : top + size, left : left + size] for top, left in corners]
    )
