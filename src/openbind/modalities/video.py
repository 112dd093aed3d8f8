"""Video: clips of two frames, without audio.

Input   path or bytes; (frames (T, H, W, 3) uint8, frames per second).
Tensor  video_BSCTHW float32: clips × crops, RGB, frames of a clip, rows, columns.
Clips   the reference spreads 5 of 2 s and crops 3 squares of each: 15 views. `crops=1` takes
        the center only, a third of the work. `crops=0` keeps whole frames, as uint8.
Tower   "vision", shared with image. Embed the audio track of the same file as audio.
Scale   1, as for images.
Source  spec 3.2: first and last frame of a clip, bilinear without antialiasing. Of a variable
        frame rate, frames are chosen by their times, where the reference counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image

from openbind.configs import Divisor, Range, Side, check_numbers
from openbind.errors import InputError
from openbind.media.video import VIDEO_EXTENSIONS, OpenVideo
from openbind.modalities.spec import Modality, Part, Preprocess, Sample, View
from openbind.signal.clips import Clip, cover_clips, frame_indices, uniform_clips
from openbind.signal.resize import Triple, crop_thrice, resize_frames


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """Everything that decides the frames of a tower's input.

    Args:
        size: rows and columns.
        clips: number of clips, spread evenly; "cover" takes as many as cover the video.
        clip_seconds: duration of a clip.
        frames: frames per clip, including its first and last.
        crops: 3 squares (left, center, right, or top to bottom), or 1 in the center; 0 keeps whole
            frames, of at most `size` on the shorter side, with values from 0 to 255.
        mean, std: per channel, of values in [0, 1].
    """

    size: Side = 224
    clips: Annotated[int, Range(1, 1_000)] | Literal["cover"] = 5
    clip_seconds: Annotated[float, Range(1e-3, 3_600)] = 2.0
    frames: Annotated[int, Range(1, 256)] = 2
    crops: Literal[0, 1, 3] = 3
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[Divisor, Divisor, Divisor] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        """Check the size of an item.

        Raises:
            ValueError: too many pixels.
        """
        count = 1 if self.clips == "cover" else self.clips
        check_numbers(count * max(self.crops, 1) * self.frames * 3 * self.size**2)


def prepare(settings: VideoSettings, folder: Path | None) -> Preprocess:
    """Return the function from a video to its views (clips · crops, 3, frames, size, size)."""
    mean_C111 = torch.tensor(settings.mean).view(-1, 1, 1, 1)
    std_C111 = torch.tensor(settings.std).view(-1, 1, 1, 1)

    def preprocess(item: Any) -> Sample:
        part = Part.of(item)
        with _open(part.item) as video:
            clips, indices, seconds = _choose_frames(video, part, settings)
            wanted = sorted({index for clip in indices for index in clip})
            # Frames are resized as they are decoded: in full size they would fill the memory.
            crops_SCTHW, shown = {}, None
            for index, frame_HWC in zip(wanted, _iterate(video, part.view, wanted), strict=True):
                if settings.crops == 0:
                    crops_SCTHW[index] = _whole(frame_HWC, settings.size)[None]
                else:
                    small_CTHW = (_resize(frame_HWC, settings.size) - mean_C111) / std_C111
                    cropped = crop_thrice(small_CTHW, settings.size)
                    crops_SCTHW[index] = cropped if settings.crops == 3 else cropped[1:2].clone()
                if index == wanted[len(wanted) // 2]:
                    shown = partial(_draw, frame_HWC)
        views = [
            view_CTHW
            for clip_indices in indices
            for view_CTHW in torch.cat([crops_SCTHW[index] for index in clip_indices], dim=2)
        ]
        times = tuple(
            (float(start), float(min(end, seconds)))
            for start, end in clips
            for _ in range(max(settings.crops, 1))
        )
        return Sample(torch.stack(views), times, shown)

    return preprocess


def _choose_frames(
    video: Any, part: Part, settings: VideoSettings
) -> tuple[list[Clip], list[list[int]], Fraction]:
    """Return the clips of a part, the numbers of each one's frames, and the part's duration."""
    if isinstance(video, OpenVideo) and video.times is not None:
        start, end = map(Fraction, part.view.excerpt(float(video.seconds), video.source))
        clips = _cut(end - start, settings)
        shifted = [(start + clip[0], start + min(clip[1], end - start)) for clip in clips]
        indices = [video.frames_between(*clip, settings.frames) for clip in shifted]
        return clips, indices, end - start
    total, fps = _measure(video)
    first, last = part.view.steps(total, float(fps), part.item)
    count = last - first
    # The reference computes in floating point; the same here selects the same frames.
    seconds = Fraction(count / float(fps))
    clips = _cut(seconds, settings)
    chosen = [frame_indices(clip, float(fps), count, settings.frames) for clip in clips]
    return clips, [[first + index for index in clip] for clip in chosen], seconds


def _cut(seconds: Fraction, settings: VideoSettings) -> list[Clip]:
    if settings.clips == "cover":
        return cover_clips(seconds, settings.clip_seconds)
    return uniform_clips(seconds, settings.clip_seconds, settings.clips)


def _resize(frame_HWC: np.ndarray, size: int) -> torch.Tensor:
    """Resize a frame to small_CTHW float32 (3, 1, rows, columns), one channel at a time."""
    channels = (np.ascontiguousarray(frame_HWC[None, None, :, :, c]) for c in range(3))
    return torch.cat([resize_frames(torch.from_numpy(plane) / 255, size) for plane in channels])


def _whole(frame_HWC: np.ndarray, size: int) -> torch.Tensor:
    """Return a frame as whole_CTHW uint8 (3, 1, rows, columns); a large one is reduced."""
    if min(frame_HWC.shape[:2]) > size:
        return (_resize(frame_HWC, size) * 255).round().to(torch.uint8)
    return torch.from_numpy(np.array(frame_HWC)).permute(2, 0, 1)[:, None].contiguous()


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
    """Return the middle frame of a video or a part.

    Raises:
        InputError: the item is unusable.
        MissingExtraError: a video file, without the extra "video".
    """
    part = Part.of(item)
    with _open(part.item) as video:
        start, end = part.view.excerpt(_seconds(video), part.item)
        middle = _frame_at(video, (start + end) / 2)
        (frame_HWC,) = _iterate(video, part.view, [middle])
    return _draw(frame_HWC, size)


def duration(item: Any) -> float:
    """Return the seconds of a video.

    Raises:
        InputError: the item is unusable.
        MissingExtraError: a video file, without the extra "video".
    """
    with _open(item) as video:
        return _seconds(video)


def clip_seconds(settings: VideoSettings) -> float:
    """Return the seconds of a clip."""
    return settings.clip_seconds


def _draw(frame_HWC: np.ndarray, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(frame_HWC))
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


def _seconds(video: OpenVideo | tuple[Any, ...]) -> float:
    if isinstance(video, OpenVideo):
        return float(video.seconds)
    total, fps = _measure(video)
    return float(total / fps)


def _frame_at(video: OpenVideo | tuple[Any, ...], seconds: float) -> int:
    if isinstance(video, OpenVideo):
        return video.frame_at_time(seconds)
    total, fps = _measure(video)
    return min(int(seconds * fps), total - 1)


def _iterate(
    video: OpenVideo | tuple[Any, ...], view: View, indices: list[int]
) -> Iterator[np.ndarray]:
    """Yield the frames of ascending indices as frame_HWC, cropped and mirrored."""
    if isinstance(video, OpenVideo):
        yield from map(view.crop, video.iterate(indices))
    else:
        yield from (view.crop(np.asarray(video[0][index])) for index in indices)


MODALITY = Modality(
    name="video",
    accepts="a path, bytes, or (frames (T, H, W, 3), frames per second)",
    settings=VideoSettings,
    prepare=prepare,
    clip_dims=4,
    has_clips=True,
    tower="vision",
    scale=1.0,
    version=2,
    extensions=VIDEO_EXTENSIONS,
    apply_view=Part,
    open_views=open_views,
    thumbnail=thumbnail,
    duration=duration,
    clip_seconds=clip_seconds,
)
