"""Video: clips of two frames, without their sound.

Input   path or bytes; (frames (T, H, W, 3) uint8, frames per second).
Tensor  video_BSCTHW float32: clips × crops, RGB, frames of a clip, rows, columns.
Clips   the reference spreads 5 of 2 s and cuts 3 squares of each: 15 views. `crops=1` looks at
        the middle only, a third of the work.
Tower   "vision", shared with image. The sound track goes through audio, from the same file.
Scale   1, as image.
Source  spec 3.2: first and last frame of a clip, bilinear without antialiasing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.media.video import VIDEO_EXTENSIONS, probe_video, read_frames
from openbind.modalities.spec import Modality, Part, Preprocess, Sample
from openbind.signal.clips import cover_clips, frame_indices, uniform_clips
from openbind.signal.resize import Triple, crop_thrice, resize_frames


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """What decides the frames that a tower gets.

    Args:
        size: rows and columns.
        clips: how many, spread evenly; "cover" takes as many as cover the video.
        clip_seconds: length of a clip.
        frames: of a clip, the first and the last among them.
        crops: 3 cuts left, middle and right (or top to bottom), 1 the middle.
        mean, std: of each channel on the scale 0 to 1.
    """

    size: int = 224
    clips: int | Literal["cover"] = 5
    clip_seconds: float = 2.0
    frames: int = 2
    crops: Literal[1, 3] = 3
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    std: Triple = (0.26862954, 0.26130258, 0.27577711)


def prepare(settings: VideoSettings, folder: Path | None) -> Preprocess:
    """Return the function from a video to its views (clips · crops, 3, frames, size, size)."""
    mean_C111 = torch.tensor(settings.mean).view(-1, 1, 1, 1)
    std_C111 = torch.tensor(settings.std).view(-1, 1, 1, 1)

    def preprocess(item: Any) -> Sample:
        part = Part.of(item)
        total, fps = _measure(part.item)
        first, end = part.view.steps(total, float(fps), part.item)
        count = end - first
        # The reference divides and multiplies in floating point, and so takes the same frames.
        seconds = Fraction(count / float(fps))
        if settings.clips == "cover":
            clips = cover_clips(seconds, settings.clip_seconds)
        else:
            clips = uniform_clips(seconds, settings.clip_seconds, settings.clips)
        wanted = [frame_indices(clip, float(fps), count, settings.frames) for clip in clips]
        frames = _read(part, first, sorted({index for clip in wanted for index in clip}))
        views = []
        for indices in wanted:
            frames_CTHW = torch.from_numpy(np.stack([frames[i] for i in indices], axis=1)) / 255
            small_CTHW = resize_frames(frames_CTHW, settings.size)
            cropped = crop_thrice((small_CTHW - mean_C111) / std_C111, settings.size)
            views += list(cropped if settings.crops == 3 else cropped[1:2])
        times = tuple(
            (float(start), float(min(end, seconds)))
            for start, end in clips
            for _ in range(settings.crops)
        )
        return Sample(torch.stack(views), times)

    return preprocess


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Return the frame in the middle.

    Raises:
        InputError: the item can't be used.
        MissingExtraError: a video, without the extra "video".
    """
    part = Part.of(item)
    middle = _measure(part.item)[0] // 2
    frame_CHW = _read(part, 0, [middle])[middle]
    image = Image.fromarray(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0)))
    image.thumbnail(size)
    return image


def _measure(item: Any) -> tuple[int, Fraction]:
    """Count the frames, and give their rate."""
    if not isinstance(item, tuple):
        info = probe_video(item)
        return info.frames, info.fps
    if len(item) != 2 or getattr(item[0], "ndim", 0) != 4 or item[0].shape[-1] != 3:
        raise InputError(item, "expected a pair (frames (T, H, W, 3), frames per second)")
    frames, fps = item
    if not len(frames) or np.asarray(frames).dtype != np.uint8:
        raise InputError(item, "expected one frame or more, as uint8")
    if not isinstance(fps, int | float | Fraction | np.number) or not 0 < float(fps) < 1e6:
        raise InputError(item, f"expected frames per second, found {fps!r}")
    return len(frames), Fraction(float(fps)).limit_denominator(1001)


def _read(part: Part, first: int, indices: list[int]) -> dict[int, np.ndarray]:
    """Return the frames that any clip uses, each decoded once, as (3, H, W)."""
    item, places = part.item, [first + index for index in indices]
    found = np.asarray(item[0])[places] if isinstance(item, tuple) else read_frames(item, places)
    shown = (part.view.crop(frame).transpose(2, 0, 1) for frame in found)
    return dict(zip(indices, shown, strict=True))


MODALITY = Modality(
    name="video",
    accepts="a path, bytes, or (frames (T, H, W, 3), frames per second)",
    settings=VideoSettings,
    prepare=prepare,
    clip_dims=4,
    has_clips=True,
    tower="vision",
    scale=1.0,
    extensions=VIDEO_EXTENSIONS,
    apply_view=Part,
    thumbnail=thumbnail,
)
