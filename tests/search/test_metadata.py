"""Size, duration and date are read from headers; content is identified by its bytes."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import ExifTags, Image

from openbind.search.metadata import FileMetadata, date_of, read_content, read_metadata


def test_image(tmp_path: Path) -> None:
    """Size after EXIF rotation, and the camera's date."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:03:04 05:06:07"
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    taken = datetime(2019, 3, 4, 5, 6, 7)
    assert read_metadata(tmp_path / "a.jpg") == FileMetadata(width=20, height=30, taken=taken)


def test_image_with_a_broken_date(tmp_path: Path) -> None:
    """An invalid date is ignored."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "yesterday"
    Image.new("RGB", (3, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert read_metadata(tmp_path / "a.jpg") == FileMetadata(width=3, height=2)


def test_sound(tmp_path: Path) -> None:
    """Duration in seconds."""
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 8000)
    assert read_metadata(tmp_path / "a.wav") == FileMetadata(duration=0.5)


def test_video(tmp_path: Path) -> None:
    """Size in pixels and duration in seconds."""
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    metadata = read_metadata(tmp_path / "a.mp4")
    assert (metadata.width, metadata.height) == (64, 48)
    assert metadata.duration == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.jpg", "a.wav", "a.mp4", "a.csv"])
def test_files_without_metadata(tmp_path: Path, name: str) -> None:
    """Broken files and tables have no metadata."""
    (tmp_path / name).write_bytes(b"1,2,3\n")
    assert read_metadata(tmp_path / name) == FileMetadata()


def test_content(tmp_path: Path) -> None:
    """The hash depends on the content only, not on name and date."""
    for name in "ab":
        (tmp_path / name).write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 3_000_001)
    os.utime(tmp_path / "a", (0, 0))
    a, b, c = (read_content(tmp_path / name) for name in "abc")
    assert a.hash == b.hash != c.hash
    assert a.modified.year == 1970
    assert (a.size, c.size) == (3_000_000, 3_000_001)


def test_fresh_files_have_no_stat_key(tmp_path: Path) -> None:
    """The times of a file that was just changed prove nothing."""
    (tmp_path / "a").write_bytes(b"x")
    assert read_content(tmp_path / "a").stat_key == ""


def test_pipes_are_refused(tmp_path: Path) -> None:
    """Reading them would never end."""
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        read_content(tmp_path / "a.jpg")


def test_dates(tmp_path: Path) -> None:
    """Times before the year 1 and after 9999 are the nearest dates; fractions are kept."""
    assert date_of(253_402_300_800).year == 9999
    assert date_of(1e15).year == 9999
    assert date_of(-62_135_596_801).year == 1
    assert date_of(1.5) == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=timezone.utc)


def test_files_that_libraries_fail_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they raise, there are just no metadata."""
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(Image, "open", fail)
    assert read_metadata(tmp_path / "a.png") == FileMetadata()
