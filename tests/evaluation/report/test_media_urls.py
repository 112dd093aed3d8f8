"""Data URLs hold a file's bytes and media type."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from openbind.evaluation.report.media_urls import data_url, file_url


def test_urls_hold_the_bytes(tmp_path: Path) -> None:
    """Decoding restores the bytes; files of unknown types are octet streams."""
    head, body = data_url(b"\x00\xff", "image/png").split(",")
    assert (head, base64.b64decode(body)) == ("data:image/png;base64", b"\x00\xff")
    path = tmp_path / "x.odd"
    path.write_bytes(b"abc")
    assert file_url(path) == data_url(b"abc", "application/octet-stream")
    with pytest.raises(FileNotFoundError):
        file_url(tmp_path / "none.png")
