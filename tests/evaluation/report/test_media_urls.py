"""Media become URLs that hold them, by extensions that don't depend on the machine's own table."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from openbind.evaluation.report.media_urls import data_url, file_url, media_type


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.WEBP", "image/webp"),
        ("b.ogg", "audio/ogg"),
        ("c.flac", "audio/flac"),
        (Path("d.mp4"), "video/mp4"),
        ("e.csv", None),
        ("f", None),
    ],
)
def test_types(path: str | Path, kind: str | None) -> None:
    """By the extension, whatever its case; what no browser shows has none."""
    assert media_type(path) == kind


def test_urls_hold_the_bytes(tmp_path: Path) -> None:
    """What is decoded is what was encoded, files of unknown types too."""
    head, body = data_url(b"\x00\xff", "image/png").split(",")
    assert (head, base64.b64decode(body)) == ("data:image/png;base64", b"\x00\xff")
    path = tmp_path / "x.odd"
    path.write_bytes(b"abc")
    assert file_url(path) == data_url(b"abc", "application/octet-stream")
    with pytest.raises(FileNotFoundError):
        file_url(tmp_path / "none.png")
