"""A bar counts items, names long recordings with their seconds, and is quiet without a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from openbind.embedding.progress import LEAST_BYTES, open_bar


class Terminal(io.StringIO):
    """A stderr that people look at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("is_terminal", [True, False])
def test_long_recordings(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    """Its name and seconds are shown until it is done; short ones are not."""
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with open_bar([1, 2], "indexing", "file", shown=True) as bar:
        bar.bar.delay = 0
        bar.show_seconds("media/short.wav", 9.0)
        bar.show_seconds("media/con\x1bcert.wav", 1234.4)
        shown = stream.getvalue()
        bar.count(1)
        assert not bar.bar.disable or not is_terminal
        assert getattr(bar.bar, "postfix", "") in ("", None)
    assert ("con\\x1bcert.wav: 1,234 s decoded" in shown) == is_terminal
    assert "short" not in shown
    assert bool(stream.getvalue()) == is_terminal


def test_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that isn't wanted says nothing."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with open_bar(iter([]), "indexing", "file", shown=False) as bar:
        bar.show_seconds("long.wav", 99.0)
        bar.count(1)
    assert not stream.getvalue()


def test_files_count_by_their_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When only a large video is left, the bar is far from its end; how many are done is said."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    sizes = [1_000] * 9 + [9_100_000]
    files = [tmp_path / f"{number}.mp4" for number in range(10)]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(bytes(size))
    with open_bar(files, "indexing", "file", shown=True) as bar:
        bar.bar.delay = 0
        for file in files[:9]:
            bar.count(file)
        assert bar.bar.n / bar.bar.total == pytest.approx(9 * LEAST_BYTES / 10_000_000)
        bar.show_seconds("9.mp4", 60.0)
        assert "9 of 10 files, 9.mp4: 60 s decoded" in stream.getvalue()
        files[9].unlink()
        bar.count(files[9])
