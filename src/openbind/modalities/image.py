"""Still images.

Input   path, bytes, PIL image, array (H, W[, C]) or tensor (C, H, W); uint8 or float in [0, 1].
Tensor  image_BCHW float32, normalized by the mean and std of the tower's training; uint8 in its own
        size for towers that have a preprocessing of their own.
Tower   "vision", shared with video.
Scale   1: the released ImageBind has no temperature for images (spec 1.5).
Source  resize and crop: spec 3.1; constants: CLIP's, the reference's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from openbind.configs import Divisor, Side
from openbind.media.image import FULL_SIZE, LARGE_PIXELS, read_image
from openbind.media.video import OpenVideo, is_video
from openbind.modalities.spec import (
    ArraySample,
    Extent,
    Modality,
    Preprocess,
    PreprocessArrays,
    Sample,
    View,
)
from openbind.signal.resize import Triple, normalize, resize_and_crop

PHOTOS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".ico"),
)
RAW_FILES = (
    *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw"),
)
"""Extensions of cameras' raw files, of which the preview is read."""
DETAIL = 4
"""Pixels of the shorter side for each that is needed, where large images are reduced first."""
EXACT_PIXELS = 1 << 22
"""JPEGs of more pixels are decoded at a fraction of their size where that leaves the `DETAIL`."""
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Everything that decides the pixels of a tower's input.

    Args:
        size: rows and columns.
        fit: "crop" resizes the shorter side and crops the center, as the reference; "pad" puts
            the whole image on white; "squash" resizes without keeping the aspect ratio; "none"
            keeps the size and the values from 0 to 255, and ignores filter, mean and std.
        filter: interpolation, always antialiased.
        mean, std: normalization per channel, of values in [0, 1].
    """

    size: Side = 224
    fit: Literal["crop", "pad", "squash", "none"] = "crop"
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[Divisor, Divisor, Divisor] = (0.26862954, 0.26130258, 0.27577711)


def prepare(settings: ImageSettings, folder: Path | None) -> Preprocess:
    """Return the function from an image to its pixels (1, 3, size, size), or its own size."""

    def preprocess(item: Any) -> Sample:
        image = _read(item, settings)
        return replace(_to_array(image, settings).to_sample(), draw=partial(_draw, image))

    return preprocess


def prepare_arrays(settings: ImageSettings, folder: Path | None) -> PreprocessArrays:
    """Return the function of `prepare` for NumPy arrays."""
    return lambda item: _to_array(_read(item, settings), settings)


def _read(item: Any, settings: ImageSettings) -> Image.Image:
    exact_pixels = LARGE_PIXELS if settings.fit == "none" else EXACT_PIXELS
    return read_image(item, DETAIL * settings.size, exact_pixels)


def _to_array(image: Image.Image, settings: ImageSettings) -> ArraySample:
    if settings.fit == "none":
        whole_CHW = np.array(image).transpose(2, 0, 1)
        return ArraySample(np.ascontiguousarray(whole_CHW)[None], extent=_extent(image, settings))
    pixels_CHW = normalize(fit_image(image, settings), settings.mean, settings.std)
    return ArraySample(pixels_CHW[None], extent=_extent(image, settings))


def _extent(image: Image.Image, settings: ImageSettings) -> Extent:
    """Return what part of an image is in what the tower gets."""
    width, height = image.info.get(FULL_SIZE, image.size)
    if settings.fit == "crop":
        return Extent.center((width, height))
    if settings.fit in ("squash", "none"):
        return Extent((width, height))
    across, down = (max(width, height) / side - 1 for side in (width, height))
    return Extent((width, height), (-across / 2, -down / 2, 1 + across / 2, 1 + down / 2))


def fit_image(image: Image.Image, settings: ImageSettings) -> Image.Image:
    """Make an image square by its settings' size, fit and filter."""
    size, resampling = settings.size, FILTERS[settings.filter]
    full_size = image.info.get(FULL_SIZE, image.size)
    if settings.fit == "squash":
        return image.resize((size, size), resampling)
    if settings.fit == "pad":
        scale = size / max(full_size)
        inner = [max(1, round(side * scale)) for side in full_size]
        background = Image.new("RGB", (size, size), "white")
        small = image.resize((inner[0], inner[1]), resampling)
        background.paste(small, ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return background
    return resize_and_crop(image, size, resampling, full_size)


def apply_view(item: Any, view: View) -> Image.Image:
    """Return a part as an upright RGB image.

    Of a video (by its extension or signature) it is the frame in the middle of the excerpt, so
    that images and audio can be paired from videos.

    Raises:
        InputError: the item is unusable, or the span lies outside it.
        MissingExtraError: a video, without the extra "video".
    """
    if not is_video(item):
        return _crop(read_image(item), view)
    with OpenVideo(item) as video:
        return _crop_frame(video, view)


def open_views(item: Any, views: Sequence[View]) -> Iterator[Any]:
    """Yield the parts of an image or a video that is opened once, as `apply_view`."""
    if is_video(item):
        with OpenVideo(item) as video:
            for view in views:
                yield _crop_frame(video, view)
        return
    image = None
    for view in views:
        if view == View():
            yield item
        else:
            image = image or read_image(item)
            yield _crop(image, view)


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Return a small upright RGB copy.

    Raises:
        InputError: the item is unusable.
    """
    small = read_image(item, min_side=max(size))
    small.thumbnail(size)
    return small


def _draw(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    small = image.copy()
    small.thumbnail(size)
    return small


def _crop(image: Image.Image, view: View) -> Image.Image:
    return Image.fromarray(view.crop(np.asarray(image)))


def _crop_frame(video: OpenVideo, view: View) -> Image.Image:
    frame_HWC = video.frame_at(lambda seconds: sum(view.excerpt(seconds, video.source)) / 2)
    return Image.fromarray(view.crop(frame_HWC))


MODALITY = Modality(
    name="image",
    accepts="a path, bytes, PIL image, array (H, W, C) or tensor (C, H, W)",
    settings=ImageSettings,
    prepare=prepare,
    clip_dims=3,
    has_clips=False,
    tower="vision",
    scale=1.0,
    extensions=frozenset({*PHOTOS, *RAW_FILES}),
    apply_view=apply_view,
    open_views=open_views,
    thumbnail=thumbnail,
    prepare_arrays=prepare_arrays,
)
