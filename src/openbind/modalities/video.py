"""Video: clips of two frames, without audio.

Input   path or bytes; (frames (T, H, W, 3) uint8, frames per second).
Tensor  video_BSCTHW float32: clips × crops, RGB, frames of a clip, rows, columns.
Clips   the reference spreads 5 of 2 s and crops 3 squares of each: 15 views. `crops=1` takes
        the center only, a third of the work.
Tower   "vision", shared with image. Embed the audio track of the same file as audio.
Scale   1, as for images.
Source  spec 3.2: first and last frame of a clip, bilinear without antialiasing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.media.video import VIDEO_EXTENSIONS, OpenVideo
from openbind.modalities.spec import Modality, Part, Preprocess, Sample, View
from openbind.signal.clips import cover_clips, frame_indices, uniform_clips
from openbind.signal.resize import Triple, crop_thrice, resize_frames


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """Everything that decides the frames of a tower's input.

    Args:
        size: rows and columns.
        clips: number of clips, spread evenly; "cover" takes as many as cover the video.
        clip_seconds: duration of a clip.
        frames: frames per clip, including its first and last.
        crops: 3 squares (left, center, right, or top to bottom), or 1 in the center.
        mean, std: per channel, of values in [0, 1].
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
        with _open(part.item) as video:
            total, fps = _measure(video)
            first, end = part.view.steps(total, float(fps), part.item)
            count = end - first
            # The reference computes in floating point; the same here selects the same frames.
            seconds = Fraction(count / float(fps))
            if settings.clips == "cover":
                clips = cover_clips(seconds, settings.clip_seconds)
            else:
                clips = uniform_clips(seconds, settings.clip_seconds, settings.clips)
            indices = [frame_indices(clip, float(fps), count, settings.frames) for clip in clips]
            wanted = sorted({index for clip in indices for index in clip})
            frames = _read_frames(video, part.view, first, wanted)
        views = []
        for clip_indices in indices:
            stacked = np.stack([frames[index] for index in clip_indices], axis=1)
            small_CTHW = resize_frames(torch.from_numpy(stacked) / 255, settings.size)
            cropped = crop_thrice((small_CTHW - mean_C111) / std_C111, settings.size)
            views += list(cropped if settings.crops == 3 else cropped[1:2])
        times = tuple(
            (float(start), float(min(end, seconds)))
            for start, end in clips
            for _ in range(settings.crops)
        )
        return Sample(torch.stack(views), times)

    return preprocess


def open_views(item: Any, views: Sequence[View]) -> Iterator[Any]:
    """Yield parts of a video that is opened once; each is decoded when it is preprocessed.

    Preprocess a part before taking the next: they share the open file, which is closed at the end.

    Raises:
        InputError: the item is unusable.
        MissingExtraError: a video file, without the extra "video".
    """
    with _open(item) as video:
        for view in views:
            yield Part(video, view)


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Return the middle frame.

    Raises:
        InputError: the item is unusable.
        MissingExtraError: a video file, without the extra "video".
    """
    part = Part.of(item)
    with _open(part.item) as video:
        middle = _measure(video)[0] // 2
        frame_CHW = _read_frames(video, part.view, 0, [middle])[middle]
    image = Image.fromarray(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0)))
    image.thumbnail(size)
    return image


def _open(item: Any) -> AbstractContextManager[Any]:
    """Open a file; open videos, and pairs of frames and rate, are returned unchanged."""
    return nullcontext(item) if isinstance(item, OpenVideo | tuple) else OpenVideo(item)


def _measure(video: OpenVideo | tuple[Any, ...]) -> tuple[int, Fraction]:
    """Return the number of frames and their rate."""
    if isinstance(video, OpenVideo):
        return video.frame_count, video.fps
    if len(video) != 2 or getattr(video[0], "ndim", 0) != 4 or video[0].shape[-1] != 3:
        raise InputError(video, "expected a pair (frames (T, H, W, 3), frames per second)")
    frames, fps = video
    if not len(frames) or np.asarray(frames).dtype != np.uint8:
        raise InputError(video, "expected one frame or more, as uint8")
    if not isinstance(fps, int | float | Fraction | np.number) or not 0 < float(fps) < 1e6:
        raise InputError(video, f"expected frames per second, found {fps!r}")
    return len(frames), Fraction(float(fps)).limit_denominator(1001)


def _read_frames(
    video: OpenVideo | tuple[Any, ...], view: View, first: int, indices: list[int]
) -> dict[int, np.ndarray]:
    """Return the frames at indices after the first, each decoded once, as (3, H, W)."""
    wanted = [first + index for index in indices]
    frames_THWC = (
        video.frames(wanted) if isinstance(video, OpenVideo) else np.asarray(video[0])[wanted]
    )
    return {
        index: view.crop(frame_HWC).transpose(2, 0, 1)
        for index, frame_HWC in zip(indices, frames_THWC, strict=True)
    }


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
    open_views=open_views,
    thumbnail=thumbnail,
)
