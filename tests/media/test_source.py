"""A path or bytes that can be read pass; everything else is named and explained."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.media.source import open_source


def test_paths_and_bytes(tmp_path: Path) -> None:
    """Strings and paths become a Path, bytes of any kind a stream at its start."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert open_source(str(path)) == open_source(path) == path
    for data in (b"content", bytearray(b"content"), memoryview(b"content")):
        stream = open_source(data)
        assert isinstance(stream, io.BytesIO)
        assert stream.read() == b"content"


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in "~" is found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").write_bytes(b"content")
    assert open_source("~/file") == tmp_path / "file"


def test_bad_sources(tmp_path: Path) -> None:
    """Missing, a directory, empty, a pipe, an impossible name, another type: each is named."""
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for source, message in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "directory"),
        (tmp_path / "empty", "empty file"),
        (tmp_path / "pipe", "not a regular file"),
        ("x" * 5000, "can't be read|no such file"),
        ("zero\0", "can't be read|no such file"),
        (b"", "no bytes"),
        (3.5, "found float"),
        (None, "found NoneType"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            open_source(source)
        assert str(caught.value).startswith(caught.value.item)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_no_permission(tmp_path: Path) -> None:
    """A file without read permission is refused."""
    path = tmp_path / "locked"
    path.write_bytes(b"content")
    path.chmod(0)
    with pytest.raises(InputError, match="can't be read"):
        open_source(path)
