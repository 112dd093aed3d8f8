"""A frame's index finds that frame, whatever the codec, its reordering and its first time."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from openbind.errors import InputError
from openbind.media import frames as frames_module
from openbind.media.video import (
    OpenVideo,
    is_video,
    measure_video,
    probe_video,
    read_frame_at,
    read_frames,
)

FRAMES = 60
STEP = 4  # frame i is gray of the level STEP · i


@lru_cache
def make_video(
    codec: str = "libx264",
    kind: str = "mp4",
    start: int = 0,
    sound: str = "",
    rotation: int = 0,
    index_first: bool = False,
    size: tuple[int, int] = (96, 64),
) -> bytes:
    """A video of 96 × 64 pixels at 25 frames a second, a key frame every twelfth frame."""
    with TemporaryDirectory() as folder:
        # A file, not a buffer: FFmpeg opens it again to put the index first.
        path = Path(folder) / "video"
        options = {"movflags": "faststart"} if index_first else {}
        with av.open(str(path), "w", format=kind, container_options=options) as container:
            write_video(container, codec, start, sound, rotation, size)
        return path.read_bytes()


def write_video(
    container: Any, codec: str, start: int, sound: str, rotation: int, size: tuple[int, int]
) -> None:
    stream: Any = container.add_stream(codec, rate=25)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = 12
    stream.bit_rate = 2_000_000
    if not codec.startswith("libvpx"):
        stream.codec_context.max_b_frames = 2
    if rotation:
        stream.set_display_rotation(rotation)
    track: Any = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
    for number in range(FRAMES):
        gray = np.full((size[1], size[0], 3), STEP * number, np.uint8)
        gray[:16, :16] = 255 if rotation else STEP * number  # a mark in the upper left
        frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
        frame.pts, frame.time_base = number + start, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    if track is not None:
        tone = np.sin(np.arange(48_000 * FRAMES // 25) * 0.05, dtype=np.float32)[None] * 0.5
        wave = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        wave.rate = 48_000
        container.mux([*track.encode(wave), *track.encode(None)])


def numbers(frames_THWC: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / STEP) for frame in frames_THWC]


VIDEOS: dict[str, Callable[[], bytes]] = {
    "h264 in mp4": lambda: make_video(),
    "h264 in mp4, later start, sound": lambda: make_video(start=37, sound="aac"),
    "mpeg4 in mp4": lambda: make_video("mpeg4"),
    "vp8 in webm, sound": lambda: make_video("libvpx", "webm", sound="libopus"),
    "vp9 in webm, later start": lambda: make_video("libvpx-vp9", "webm", start=37),
    "h264 in matroska": lambda: make_video(kind="matroska"),
    "mpeg4 in avi": lambda: make_video("mpeg4", "avi"),
    "mpeg4 in avi, empty frames before": lambda: make_video("mpeg4", "avi", start=37),
    "h264 in avi": lambda: make_video(kind="avi"),
    "h264 in a transport stream": lambda: make_video(kind="mpegts", start=37),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_the_requested_ones(name: str) -> None:
    """They come in the given order, repeated ones too, across key frames."""
    data = VIDEOS[name]()
    info = probe_video(data)
    assert (info.frames, info.fps, info.seconds) == (FRAMES, 25, Fraction(12, 5))
    assert (info.width, info.height) == (96, 64)
    assert info.has_audio == ("sound" in name)
    wanted = [59, 0, 7, 30, 30, 13]
    frames = read_frames(data, wanted)
    assert (frames.shape, frames.dtype) == ((6, 64, 96, 3), np.uint8)
    assert numbers(frames) == wanted


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=6), st.sampled_from([*VIDEOS]))
def test_any_frames(wanted: list[int], name: str) -> None:
    """Any indices of any format are found."""
    assert numbers(read_frames(VIDEOS[name](), wanted)) == wanted


def test_path_is_bytes(tmp_path: Path) -> None:
    """A file and its content are the same video."""
    path = tmp_path / "video.mp4"
    path.write_bytes(make_video())
    assert probe_video(path) == probe_video(path.read_bytes())
    np.testing.assert_array_equal(read_frames(path, [3, 50]), read_frames(str(path), [3, 50]))
    np.testing.assert_array_equal(read_frames(path, [3, 50]), read_frames(make_video(), [3, 50]))


def test_only_what_is_needed_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last frame costs its group of images, not the whole video."""
    decoded = 0
    data = make_video()

    def counted(video: OpenVideo, key: int) -> Any:
        nonlocal decoded
        for frame in original(video, key):
            decoded += 1
            yield frame

    original = OpenVideo._decode_from
    monkeypatch.setattr(OpenVideo, "_decode_from", counted)
    read_frames(data, [59])
    assert 0 < decoded <= 12


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_rotated_videos_stand_upright(rotation: int, corner: tuple[int, int]) -> None:
    """The rotation in the header is applied: the upper left corner goes to `corner`."""
    data = make_video(rotation=rotation)
    info = probe_video(data)
    assert (info.width, info.height) == ((96, 64) if rotation == 180 else (64, 96))
    frame = read_frames(data, [2])[0]
    assert frame.shape == (info.height, info.width, 3)
    assert frame[corner].mean() > 200
    assert sum(frame[y, x].mean() > 200 for y in (0, -1) for x in (0, -1)) == 1


CUT = {
    "index at the end": (lambda: make_video(), 0.9),
    "index first": (lambda: make_video(index_first=True), 0.6),
    "webm": (lambda: make_video("libvpx", "webm", sound="libopus"), 0.5),
    "matroska": (lambda: make_video(kind="matroska"), 0.5),
    "avi": (lambda: make_video("mpeg4", "avi"), 0.9),
}


@pytest.mark.parametrize("name", CUT)
def test_truncated(name: str) -> None:
    """A truncated video is refused, wherever its index is."""
    make, share = CUT[name]
    data = make()
    with pytest.raises(InputError, match="truncated"):
        probe_video(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", [name for name in VIDEOS if "sound" in name])
def test_length_of_a_video(name: str) -> None:
    """The headers' duration is that of the frames, to the padding of audio codecs."""
    data = VIDEOS[name]()
    assert measure_video(data) == pytest.approx(float(probe_video(data).seconds), abs=0.05)


def test_length_that_no_header_says(tmp_path: Path) -> None:
    """A webm recorded live has no duration in its header: its frames are counted."""
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", container_options={"live": "1"}) as container:
        write_video(container, "libvpx", 0, "libopus", 0, (96, 64))
    with av.open(str(path)) as container:
        assert container.duration is None
    assert measure_video(path) == 2.4


def test_length_needs_both(tmp_path: Path) -> None:
    """A file without audio or without images has no common duration."""
    with pytest.raises(InputError, match="no audio"):
        measure_video(make_video())
    sound = tmp_path / "sound.m4a"
    with av.open(str(sound), "w") as container:
        track: Any = container.add_stream("aac", rate=48_000, layout="mono")
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        wave.rate = 48_000
        container.mux([*track.encode(wave), *track.encode(None)])
    with pytest.raises(InputError, match="has no images"):
        measure_video(sound)


@pytest.mark.parametrize("indices", [[60], [-1], [0, 600]])
def test_no_such_frame(indices: list[int]) -> None:
    """An index beyond the last frame is refused, with the number of frames."""
    with pytest.raises(InputError, match="60 frames"):
        read_frames(make_video(), indices)


def test_refuses(tmp_path: Path) -> None:
    """No indices, audio, noise and a missing file are refused."""
    with pytest.raises(InputError, match="one frame index"):
        read_frames(make_video(), [])
    sound = io.BytesIO()
    with av.open(sound, "w", format="wav") as container:
        track = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        wave.rate = 8_000
        container.mux([*track.encode(wave), *track.encode(None)])
    with pytest.raises(InputError, match="has no images"):
        probe_video(sound.getvalue())
    with pytest.raises(InputError, match="not audio or video"):
        probe_video(np.random.default_rng(0).bytes(5_000))
    with pytest.raises(InputError, match="no such file"):
        probe_video(tmp_path / "none.mp4")


@pytest.mark.filterwarnings("ignore:.*truncated")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 255))
def test_damage_escapes_as_nothing_else(place: int, value: int) -> None:
    """One changed byte results in frames or an InputError."""
    data = bytearray(make_video("libvpx", "webm"))
    data[place % len(data)] = value
    try:
        probe_video(bytes(data))
        read_frames(bytes(data), [0, 40])
    except InputError:
        pass


def test_frames_change_their_size() -> None:
    """Frames of two sizes are refused."""
    parts = [make_video(kind="mpegts"), make_video(kind="mpegts", start=FRAMES, size=(64, 48))]
    with pytest.raises(InputError, match="change their size"):
        read_frames(b"".join(parts), [0, 2 * FRAMES - 1])


@pytest.mark.parametrize("name", [n for n in VIDEOS if "transport" not in n])
def test_videos_are_recognized(name: str) -> None:
    """By the extension of a path in any case, and by the signature of bytes."""
    assert is_video(VIDEOS[name]())
    assert is_video("a/B.MP4")
    assert is_video(Path("b.webm"))
    assert not is_video(Path("a.mp4/image.png"))


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "avif", "tiff", "bmp"])
def test_images_are_no_videos(kind: str) -> None:
    """Images are not videos, though AVIF has the same container as mp4."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, kind)
    assert not is_video(buffer.getvalue())
    assert not is_video((np.zeros((2, 4, 4, 3), np.uint8), 25))


@pytest.mark.parametrize("name", VIDEOS)
def test_the_frame_at_a_moment(name: str) -> None:
    """It is the one shown from its time to the next's; at the end the last one."""
    data = VIDEOS[name]()
    for seconds, number in [(0.0, 0), (0.03, 0), (0.05, 1), (1.0, 25), (1.95, 48), (2.39, 59)]:
        frame = read_frame_at(data, lambda total, seconds=seconds: seconds)
        assert (frame.shape, frame.dtype) == ((64, 96, 3), np.uint8)
        assert numbers(frame[None]) == [number]
    lengths: list[float] = []
    assert numbers(read_frame_at(data, lambda total: lengths.append(total) or total)[None]) == [59]
    assert lengths == pytest.approx([2.4] * len(lengths), abs=0.05)


def test_the_frame_at_a_moment_is_upright() -> None:
    """It is rotated as all frames are."""
    data = make_video(rotation=90)
    np.testing.assert_array_equal(
        read_frame_at(data, lambda total: 0.4), read_frames(data, [10])[0]
    )


def test_the_rest_of_a_video_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the header has the duration, the file isn't read through."""

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("the whole video was read")

    monkeypatch.setattr(frames_module, "demux_whole", refuse)
    read_frame_at(make_video(sound="aac"), lambda total: total / 2)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_frame_at_a_moment_is_missing(share: float) -> None:
    """A video truncated before the moment is refused."""
    data = make_video(index_first=True)
    with pytest.raises(InputError, match="truncated"):
        read_frame_at(data[: int(len(data) * share)], lambda total: total)


@pytest.mark.parametrize("name", [n for n in VIDEOS if "avi" in n or "stream" in n])
def test_lengths_without_a_header(name: str) -> None:
    """Where the container states no duration, frames are counted."""
    assert probe_video(VIDEOS[name]()).seconds == Fraction(12, 5)


def test_extreme_frames_are_refused() -> None:
    """Frames of which next to nothing would be used are refused."""
    with pytest.raises(InputError, match="side_ratio"):
        probe_video(make_video(size=(2048, 16)))
