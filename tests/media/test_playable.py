"""Transcoding for browsers: formats, times, sizes, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.media.playable import LONG_SIDE, transcode

av = pytest.importorskip("av", reason="the extra video isn't installed")


def write(
    path: Path, images: str | None, sound: str | None, size: tuple[int, int] = (64, 48)
) -> Path:
    """Write two seconds: a white bar that goes right, beside a tone."""
    with av.open(path, "w") as container:
        if images:
            stream = container.add_stream(images, rate=10)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if sound:
            heard = container.add_stream(sound, rate=44_100, layout="mono")
        for number in range(20 if images else 0):
            frame_HWC = np.zeros((size[1], size[0], 3), np.uint8)
            frame_HWC[:, : 3 * number] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC)))
        if images:
            container.mux(stream.encode())
        if sound:
            wave = np.sin(np.arange(88_200) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, "flt", "mono")
            frame.sample_rate, frame.pts = 44_100, 0
            context = heard.codec_context
            resampler = av.AudioResampler(context.format, "mono", 44_100, context.frame_size or 512)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(heard.encode(part))
            container.mux(heard.encode())
    return path


@pytest.mark.parametrize(
    ("name", "images", "sound"),
    [
        ("a.avi", "mpeg4", "libmp3lame"),
        ("a.mkv", "mpeg4", "flac"),
        ("a.wmv", "wmv2", None),
        ("a.mpg", "mpeg2video", "mp2"),
        ("a.aiff", None, "pcm_s16be"),
        ("a.flac", None, "flac"),
    ],
)
def test_formats(tmp_path: Path, name: str, images: str | None, sound: str | None) -> None:
    """They become MP4 of the same length, with the index first, to be played at once."""
    target = tmp_path / "played.mp4"
    transcode(write(tmp_path / name, images, sound), target, images=True, max_seconds=60)
    with av.open(target) as made:
        kinds = {stream.codec_context.name for stream in made.streams}
        assert kinds == {codec for codec, on in (("h264", images), ("aac", sound)) if on}
        assert made.duration / 1e6 == pytest.approx(2, abs=0.2)
        if images:
            frames = list(made.decode(video=0))
            assert len(frames) in (19, 20)
            white = [(frame.to_ndarray(format="gray") > 128).mean() for frame in frames]
            assert white == sorted(white)
            assert frames[10].time == pytest.approx(1, abs=0.15)
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_large_and_silent(tmp_path: Path) -> None:
    """Large images are scaled down; without them only the sound is written."""
    source = write(tmp_path / "a.avi", "mpeg4", "libmp3lame", (1280, 718))
    transcode(source, tmp_path / "shown.mp4", images=True, max_seconds=60)
    transcode(source, tmp_path / "heard.mp4", images=False, max_seconds=60)
    with av.open(tmp_path / "shown.mp4") as made:
        assert made.streams.video[0].width == LONG_SIDE
        assert made.streams.video[0].height == 538
    with av.open(tmp_path / "heard.mp4") as made:
        assert [stream.type for stream in made.streams] == ["audio"]


def test_refused(tmp_path: Path) -> None:
    """Too long, broken, and nothing to play."""
    long = write(tmp_path / "a.avi", "mpeg4", None)
    (tmp_path / "text.avi").write_bytes(b"no video at all" * 9)
    for path, seconds, reason in ((long, 1, "longer than 1 s"), (tmp_path / "text.avi", 60, "not")):
        with pytest.raises(InputError, match=reason):
            transcode(path, tmp_path / "out.mp4", images=True, max_seconds=seconds)
    with pytest.raises(InputError, match="neither"):
        transcode(long, tmp_path / "out.mp4", images=False, max_seconds=60)
