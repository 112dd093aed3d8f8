"""Image: still images.

Input   path, bytes, PIL image, array (H, W[, C]) or tensor (C, H, W); uint8 or float in [0, 1].
Tensor  image_BCHW float32, normalized by the mean and std of the tower's training.
Tower   "vision", shared with video.
Scale   1: the released ImageBind has no temperature on this side (spec 1.5).
Source  resize and crop: spec 3.1; constants: CLIP's, the reference's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from openbind.media.image import read_image
from openbind.media.video import is_video, read_frame_at
from openbind.modalities.spec import Modality, Preprocess, Sample, View
from openbind.signal.resize import Triple, center_crop, normalize, resize_short_side, to_tensor

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What decides the pixels that a tower gets.

    Args:
        size: rows and columns.
        fit: "crop" scales the shorter side and cuts the middle, as the reference does; "pad"
            shows the whole image on white; "squash" scales both sides by themselves.
        filter: how pixels are interpolated, always antialiased.
        mean, std: of each channel on the scale 0 to 1, subtracted and divided by.
    """

    size: int = 224
    fit: Literal["crop", "pad", "squash"] = "crop"
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    std: Triple = (0.26862954, 0.26130258, 0.27577711)


def prepare(settings: ImageSettings, folder: Path | None) -> Preprocess:
    """Return the function from a image to its pixels (1, 3, size, size)."""

    def preprocess(item: Any) -> Sample:
        fitted = fit_image(read_image(item), settings)
        return Sample(normalize(to_tensor(fitted), settings.mean, settings.std)[None])

    return preprocess


def fit_image(image: Image.Image, settings: ImageSettings) -> Image.Image:
    """Make a image square by its settings' size, fit and filter."""
    size, resampling = settings.size, FILTERS[settings.filter]
    if settings.fit == "squash":
        return image.resize((size, size), resampling)
    if settings.fit == "pad":
        scale = size / max(image.size)
        inner = [max(1, round(side * scale)) for side in image.size]
        ground = Image.new("RGB", (size, size), "white")
        small = image.resize((inner[0], inner[1]), resampling)
        ground.paste(small, ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return ground
    return center_crop(resize_short_side(image, size, resampling), size)


def apply_view(item: Any, view: View) -> Image.Image:
    """Return the upright RGB image of a part.

    Of a video (by its extension, or its first bytes) the frame in the middle of the excerpt is the
    image, so that images and sounds can be paired from videos.

    Raises:
        InputError: the item can't be used, or nothing of the view's span is in it.
        MissingExtraError: a video, without the extra "video".
    """
    if is_video(item):
        pixels_HWC = read_frame_at(item, lambda seconds: sum(view.excerpt(seconds, item)) / 2)
    else:
        pixels_HWC = np.asarray(read_image(item))
    return Image.fromarray(view.crop(pixels_HWC))


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Return a small upright RGB copy.

    Raises:
        InputError: the item can't be used.
    """
    small = read_image(item, min_side=max(size)).copy()
    small.thumbnail(size)
    return small


MODALITY = Modality(
    name="image",
    accepts="a path, bytes, PIL image, array (H, W, C) or tensor (C, H, W)",
    settings=ImageSettings,
    prepare=prepare,
    clip_dims=3,
    has_clips=False,
    tower="vision",
    scale=1.0,
    extensions=frozenset(
        [
            ".jpg",
            ".jpeg",
            ".jpe",
            ".jfif",
            ".png",
            ".gif",
            ".webp",
            ".bmp",
            ".tif",
            ".tiff",
            ".ppm",
            ".pgm",
            ".avif",
            ".jp2",
            ".ico",
        ]
    ),
    apply_view=apply_view,
    thumbnail=thumbnail,
)
