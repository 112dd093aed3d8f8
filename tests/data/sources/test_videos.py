"""Videos become windows of image and sound; videos that can't be used are reported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from openbind.data.index_writer import index_rows
from openbind.data.pairs import Rows
from openbind.data.sources.videos import Videos
from openbind.data.splits import hold_out
from openbind.embedding.items import open_item
from openbind.errors import ConfigError, InputError
from openbind.media.audio import read_audio
from openbind.media.video import probe_video

RATE_HZ = 16_000


def shoot(path: Path, seconds: float, sound: bool = True) -> None:
    """A video of 32 × 32 pixels at 10 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        track: Any = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound else None
        for number in range(round(seconds * 10)):
            gray = np.full((32, 32, 3), 3 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            tone = np.sin(np.arange(round(seconds * RATE_HZ)) * 0.1, dtype=np.float32)[None]
            wave = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            wave.rate = RATE_HZ
            container.mux([*track.encode(wave), *track.encode(None)])


def read(root: Path, **config: Any) -> Rows:
    found = Videos(videos="videos", **config).read(("image", "audio"), root)
    return Rows(list(found.rows), tuple(found.excluded))


def test_windows(tmp_path: Path) -> None:
    """Windows follow each other from the start; both items are the video."""
    path = tmp_path / "videos" / "train" / "dog" / "a.mp4"
    shoot(path, 6)
    rows = read(tmp_path).rows
    assert [row.span for row in rows] == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    assert [row.key for row in rows] == [f"train/dog/a.mp4@{start}" for start in (0, 2, 4)]
    for row in rows:
        assert dict(row.items) == {"image": (path,), "audio": (path,)}
        assert (row.split, row.label, row.group) == ("train", "dog", "train/dog/a.mp4")
    assert probe_video(open_item(rows[2].items["image"][0])).frames == 60
    assert read_audio(open_item(rows[2].items["audio"][0])).seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "ends"), [(4.5, [2, 4]), (5.5, [2, 4, 5.5]), (1.2, [1.2]), (0.5, [])]
)
def test_last_window(tmp_path: Path, seconds: float, ends: list[float]) -> None:
    """The rest is a window if it is at least half a window long."""
    shoot(tmp_path / "videos" / "a.mp4", seconds)
    shoot(tmp_path / "videos" / "b.mkv", 2)
    rows = read(tmp_path)
    found = [row.span[1] for row in rows.rows if row.group == "a.mp4" and row.span]
    assert found == pytest.approx(ends, abs=0.05)
    short = f"{tmp_path / 'videos' / 'a.mp4'}: shorter than half a window"
    assert rows.excluded == (() if ends else (short,))


def test_length_of_windows(tmp_path: Path) -> None:
    """`seconds` is the length of a window."""
    shoot(tmp_path / "videos" / "a.mp4", 3)
    assert [row.span for row in read(tmp_path, seconds=0.75).rows] == [
        (0.0, 0.75),
        (0.75, 1.5),
        (1.5, 2.25),
        (2.25, 3.0),
    ]


def test_what_is_left_out(tmp_path: Path) -> None:
    """Silent and broken videos are reported with the reason; other files are ignored."""
    videos = tmp_path / "videos"
    shoot(videos / "a.mp4", 2)
    shoot(videos / "mute.mp4", 2, sound=False)
    (videos / "cut.mp4").write_bytes((videos / "a.mp4").read_bytes()[:1_000])
    (videos / "notes.txt").write_text("no video")
    rows = read(tmp_path)
    assert [row.key for row in rows.rows] == ["a.mp4@0"]
    assert len(rows.excluded) == 2
    assert rows.excluded[0].startswith(f"{videos / 'cut.mp4'}: not audio or video")
    assert rows.excluded[1] == f"{videos / 'mute.mp4'}: has no audio track"


def test_videos_are_held_out_whole(tmp_path: Path) -> None:
    """Windows of one video look alike, so they are never in both splits."""
    for name in "abcdef":
        shoot(tmp_path / "videos" / f"{name}.mp4", 4)
    kept, held = hold_out(index_rows(read(tmp_path).rows).rows, 0.4)
    assert len(kept) + len(held) == 12
    videos = [{row.key.partition("@")[0] for row in side} for side in (kept, held)]
    assert not videos[0] & videos[1]


def test_nothing_usable(tmp_path: Path) -> None:
    """No video at all, none with sound, no folder."""
    with pytest.raises(InputError, match="expected a folder"):
        read(tmp_path)
    (tmp_path / "videos").mkdir()
    with pytest.raises(ConfigError, match="none of 0 videos"):
        read(tmp_path)
    shoot(tmp_path / "videos" / "mute.mp4", 2, sound=False)
    with pytest.raises(ConfigError, match=r"none of 1 videos .*mute\.mp4: has no audio track"):
        read(tmp_path)
