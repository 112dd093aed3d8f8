"""A video becomes the reference's views: 5 clips of 2 frames, 3 crops of each."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.media import frames as frames_module
from openbind.media.video import OpenVideo
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
    """15 views: left, center and right of each clip; first and last frame of the clip."""
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
    """One crop is the center of three."""
    full, fast = prepare((FRAMES, 10)), prepare((FRAMES, 10), crops=1)
    assert fast.clips.shape == (5, 3, 2, 56, 56)
    torch.testing.assert_close(fast.clips, full.clips[1::3])
    assert len(prepare((FRAMES, 10), crops=1, clips="cover", clip_seconds=1.0).clips) == 10


def test_one_frame() -> None:
    """All clips of a video of a single frame are equal."""
    sample = prepare((FRAMES[:1], 25), crops=1)
    assert (sample.clips == sample.clips[0, :, :1]).all()


def test_file_is_its_frames(tmp_path: Path) -> None:
    """A file of losslessly coded frames has the same clips as the frames themselves."""
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
    """Each error names what was expected."""
    with pytest.raises(InputError, match=message):
        prepare(item)


def shown(item: Any, view: View, **settings: Any) -> Sample:
    assert MODALITY.apply_view is not None
    return prepare(MODALITY.apply_view(item, view), **settings)


def test_the_whole_view_of_a_video(video: Path) -> None:
    """The whole view has the same numbers and times."""
    for item in (video, (FRAMES, 10)):
        part, whole = shown(item, View()), prepare(item)
        assert torch.equal(part.clips, whole.clips)
        assert part.times == whole.times


def test_a_part_of_a_video(video: Path) -> None:
    """It equals a video of the excerpt's frames, each cropped and mirrored."""
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
    """Only two frames of each clip of the excerpt are decoded."""
    requested: list[int] = []

    def recorded(opened: OpenVideo, indices: list[int]) -> Any:
        requested.extend(indices)
        return iterate(opened, indices)

    iterate = OpenVideo.iterate
    monkeypatch.setattr(OpenVideo, "iterate", recorded)
    shown(video, View(span=(1.0, 3.0)), clips=2, clip_seconds=1.0)
    assert requested == [10, 19, 20, 29]


def test_a_span_outside_is_refused() -> None:
    """The error names the video's duration."""
    with pytest.raises(InputError, match=r"lasts 10\.00 s"):
        shown((FRAMES, 10), View(span=(12.0, 14.0)))


class Reads:
    """Counts how often files are opened and read through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = self.demuxed = 0
        open_file, demux = av.open, frames_module.demux_whole

        def counted_open(*arguments: Any, **options: Any) -> Any:
            self.opened += 1
            return open_file(*arguments, **options)

        def counted_demux(*arguments: Any) -> Any:
            self.demuxed += 1
            return demux(*arguments)

        monkeypatch.setattr(av, "open", counted_open)
        monkeypatch.setattr(frames_module, "demux_whole", counted_demux)


def test_a_whole_video_is_read_once(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preprocessing opens the file once and reads its packets once."""
    reads = Reads(monkeypatch)
    prepare(video)
    assert (reads.opened, reads.demuxed) == (1, 1)


@pytest.mark.parametrize("kind", ["mkv", "avi"])
def test_all_parts_are_read_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 parts open the file once and read it once, with the numbers of parts opened singly.

    Whether parts are sought (mkv) or counted (avi), each frame is decoded at most once.
    """
    path = tmp_path / f"video.{kind}"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        for number in range(400):
            gray = np.full((48, 48, 3), number % 255, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="rgb24")))
        container.mux(stream.encode(None))
    edges = np.linspace(0, 40, 65)
    views = [View(span=(float(start), float(end))) for start, end in pairwise(edges)]
    expected = [shown(path, view, crops=1) for view in views]
    reads = Reads(monkeypatch)
    decoded = 0

    def counted(video: OpenVideo, key: int) -> Any:
        nonlocal decoded
        for frame in decode_from(video, key):
            decoded += 1
            yield frame

    decode_from = OpenVideo._decode_from
    monkeypatch.setattr(OpenVideo, "_decode_from", counted)
    for part, single in zip(MODALITY.read_views(path, views), expected, strict=True):
        sample = prepare(part, crops=1)
        assert torch.equal(sample.clips, single.clips)
        assert sample.times == single.times
    assert (reads.opened, reads.demuxed) == (1, 1)
    assert decoded <= 400


def test_closing_the_views_closes_the_video(video: Path) -> None:
    """A part can't be read any more once its iterator was closed."""
    parts = MODALITY.read_views(video, [View(), View()])
    part = next(parts)
    prepare(part)
    parts.close()
    with pytest.raises((InputError, AssertionError, ValueError)):
        prepare(part)


def test_frames_of_a_variable_rate_are_chosen_by_time(tmp_path: Path) -> None:
    """One frame a second for 10 s, then 20 a second: the first half of the time is the slow one."""
    path = tmp_path / "variable.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "bgr0"
        for time in [*range(0, 200, 20), *range(200, 400)]:
            level = np.full((64, 64, 3), 50 if time < 200 else 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for span, level in (((0.0, 10.0), 50), ((10.0, 20.0), 200)):
        sample = shown(path, View(span=span), crops=1)
        assert {round(float(value * 255)) for value in sample.clips.unique()} == {level}
    assert sample.times is not None
    assert sample.times[-1][1] == pytest.approx(10.0, abs=0.1)


def test_whole_frames() -> None:
    """Without crops the tower gets whole frames with their own values; large ones are reduced."""
    frames = np.random.default_rng(0).integers(0, 256, (8, 20, 30, 3), dtype=np.uint8)
    settings = VideoSettings(crops=0, frames=4, clips=1, clip_seconds=4, size=20)
    sample = MODALITY.prepare(settings, None)((frames, 2))
    assert sample.clips.dtype == torch.uint8
    assert sample.clips.shape == (1, 3, 4, 20, 30)
    assert (sample.clips[0, :, 0].permute(1, 2, 0).numpy() == frames[0]).all()
    assert sample.times == ((0.0, 4.0),)
    small = MODALITY.prepare(VideoSettings(crops=0, clips=1, size=10), None)((frames, 2))
    assert (small.clips.dtype, small.clips.shape) == (torch.uint8, (1, 3, 2, 10, 15))
