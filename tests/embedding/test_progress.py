"""A bar counts items, names long recordings with their seconds, and is quiet without a terminal."""

from __future__ import annotations

import io

import pytest

from openbind.embedding.progress import count_item, open_bar, show_seconds


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
        bar.delay = 0
        show_seconds(bar, "media/short.wav", 9.0)
        show_seconds(bar, "media/con\x1bcert.wav", 1234.4)
        shown = stream.getvalue()
        count_item(bar)
        assert not bar.disable or not is_terminal
        assert getattr(bar, "postfix", "") in ("", None)
    assert ("con\\x1bcert.wav: 1,234 s decoded" in shown) == is_terminal
    assert "short" not in shown
    assert bool(stream.getvalue()) == is_terminal


def test_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that isn't wanted says nothing."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with open_bar(iter([]), "indexing", "file", shown=False) as bar:
        show_seconds(bar, "long.wav", 99.0)
        count_item(bar)
    assert not stream.getvalue()
