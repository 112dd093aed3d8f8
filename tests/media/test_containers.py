"""FFmpeg opens the given file and nothing else; its errors become ours."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from openbind.errors import InputError, MissingExtraError
from openbind.media.containers import header_seconds, open_container


def refused(source: object) -> str:
    with pytest.raises(InputError) as caught, open_container(source):
        pytest.fail("was opened")
    return str(caught.value)


def test_only_video_and_audio(tmp_path: Path) -> None:
    """Text files and playlists are refused."""
    text = tmp_path / "notes.txt"
    text.write_text("hello\n" * 100)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{text}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "list.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile {text.name}\n")
    for path in (text, playlist, concat):
        assert "not audio or video" in refused(path)
        assert "not audio or video" in refused(path.read_bytes())


def test_bad_sources(tmp_path: Path) -> None:
    """Missing, empty, a directory, an address, another type: each is named."""
    (tmp_path / "empty.mp4").touch()
    assert "no such file" in refused(tmp_path / "none.mp4")
    assert "empty" in refused(tmp_path / "empty.mp4")
    assert "directory" in refused(tmp_path)
    assert "no such file" in refused("http://127.0.0.1:9/video.mp4")
    assert "found int" in refused(3)


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"openbind\[video\]"), open_container(b"video"):
        pytest.fail("was opened")


@pytest.mark.parametrize(
    ("kind", "codec", "says"),
    [("mp4", "mpeg4", True), ("webm", "libvpx", True), ("avi", "mpeg4", False)],
)
@pytest.mark.parametrize("start", [0, 37])
def test_length_by_the_headers(
    kind: str, codec: str, says: bool, start: int, tmp_path: Path
) -> None:
    """The duration counts from the stream's start; formats that can't be sought have none."""
    path = tmp_path / f"video.{kind}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = start + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_container(path) as container:
        said = header_seconds(container, container.streams.video[0])
    assert said == (pytest.approx(2.0, abs=0.05) if says else None)
