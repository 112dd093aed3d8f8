"""A video becomes the reference's views: 5 clips of 2 frames, 3 squares of each."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.media.video import read_frames
from openbind.modalities.spec import Sample, View
from openbind.modalities.video import MODALITY, VideoSettings

# Every frame has its own gray; the left third is darker, the right third brighter.
GREYS = np.linspace(60, 180, 100).round().astype(np.uint8)
FRAMES = np.broadcast_to(GREYS[:, None, None, None], (100, 60, 180, 3)).copy()
FRAMES[:, :, :60] -= 40
FRAMES[:, :, 120:] += 40
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def prepare(item: Any, **settings: Any) -> Sample:
    return MODALITY.prepare(VideoSettings(size=56, **PLAIN, **settings), None)(item)


def gray(view: torch.Tensor, frame: int) -> float:
    return float(view[:, frame, 20:36, 20:36].mean() * 255)


def test_views_are_clip_major() -> None:
    """15 views, for each clip left, middle and right; first and last frame of the clip."""
    sample = prepare((FRAMES, 10))
    assert sample.clips.shape == (15, 3, 2, 56, 56)
    assert sample.times is not None
    assert sample.times[0] == sample.times[2] == (0.0, 2.0)
    assert sample.times[-1] == (8.0, 10.0)
    middle = sample.clips[1]
    assert gray(middle, 0) == pytest.approx(GREYS[0], abs=1)
    assert gray(middle, 1) == pytest.approx(GREYS[19], abs=1)
    assert gray(sample.clips[13], 1) == pytest.approx(GREYS[99], abs=1)
    assert gray(sample.clips[0], 0) == pytest.approx(GREYS[0] - 40, abs=2)
    assert gray(sample.clips[2], 0) == pytest.approx(GREYS[0] + 40, abs=2)


def test_fast_mode() -> None:
    """One crop is the middle of three."""
    full, fast = prepare((FRAMES, 10)), prepare((FRAMES, 10), crops=1)
    assert fast.clips.shape == (5, 3, 2, 56, 56)
    torch.testing.assert_close(fast.clips, full.clips[1::3])
    assert len(prepare((FRAMES, 10), crops=1, clips="cover", clip_seconds=1.0).clips) == 10


def test_one_frame() -> None:
    """A video of a single frame gives equal clips."""
    sample = prepare((FRAMES[:1], 25), crops=1)
    assert (sample.clips == sample.clips[0, :, :1]).all()


def test_file_is_its_frames(tmp_path: Path) -> None:
    """A file of losslessly coded frames gives what the frames themselves give."""
    path = tmp_path / "gray.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 180, 60, "bgr0"
        for frame in FRAMES:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    expected = prepare((FRAMES, Fraction(10)), crops=1)
    for source in (path, path.read_bytes()):
        torch.testing.assert_close(prepare(source, crops=1).clips, expected.clips)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((FRAMES, 0), "frames per second"),
        ((FRAMES[:0], 10), "one frame or more"),
        ((FRAMES.astype(np.float32), 10), "uint8"),
        ((FRAMES[:, :, :, 0], 10), r"frames \(T, H, W, 3\)"),
        ("missing.mp4", "no such file"),
        (b"no video", ".+"),
    ],
)
def test_bad_videos(item: object, message: str) -> None:
    """Each says what was expected."""
    with pytest.raises(InputError, match=message):
        prepare(item)


def shown(item: Any, view: View, **settings: Any) -> Sample:
    assert MODALITY.apply_view is not None
    return prepare(MODALITY.apply_view(item, view), **settings)


def test_all_of_a_video_is_the_video(video: Path) -> None:
    """Shown whole it gives the same numbers and times."""
    for item in (video, (FRAMES, 10)):
        part, whole = shown(item, View()), prepare(item)
        assert torch.equal(part.clips, whole.clips)
        assert part.times == whole.times


def test_a_part_of_a_video(video: Path) -> None:
    """The frames of the excerpt, each cut and mirrored, as if they were the video."""
    view = View(box=(0.0, 0.25, 1.0, 0.5), flip=True, span=(1.0, 4.0), seconds=2.0, moment=1.0)
    gray = np.full((40, 48, 96, 3), 255, np.uint8)
    gray[:, :, :48] = 6 * np.arange(40, dtype=np.uint8)[:, None, None, None]
    cut = gray[20:, :, 24:72][:, :, ::-1]
    expected = prepare((cut.copy(), 10), clip_seconds=1.0)
    for item in (video, video.read_bytes(), (gray, 10)):
        part = shown(item, view, clip_seconds=1.0)
        assert torch.equal(part.clips, expected.clips)
        assert part.times == expected.times


def test_only_frames_that_are_used_are_read(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of each clip, of the excerpt alone."""
    asked: list[int] = []

    def counted(source: Any, indices: list[int]) -> np.ndarray:
        asked.extend(indices)
        return read_frames(source, indices)

    monkeypatch.setattr("openbind.modalities.video.read_frames", counted)
    shown(video, View(span=(1.0, 3.0)), clips=2, clip_seconds=1.0)
    assert asked == [10, 19, 20, 29]


def test_no_such_moment() -> None:
    """A span behind the end."""
    with pytest.raises(InputError, match=r"lasts 10\.00 s"):
        shown((FRAMES, 10), View(span=(12.0, 14.0)))
