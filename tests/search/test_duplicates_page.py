"""The page of duplicates: thumbnails, names, and nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from openbind.search import duplicates_page
from openbind.search.duplicates import Group, Member
from openbind.search.duplicates_page import write_duplicates


class Reader(HTMLParser):
    """Collects addresses and texts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has its thumbnail or says that it has none; names are text, whatever they hold."""
    image, broken = tmp_path / "<b>&\udcff.png", tmp_path / "broken.png"
    Image.new("RGB", (30, 20), "red").save(image, "PNG")
    broken.write_bytes(b"no image")
    members = (Member(image, 90, False, 1.0), Member(broken, 8, False, 0.97))
    groups = [Group("image", members), Group("image", (*members[:1], Member(image, 90, True, 1.0)))]
    page = tmp_path / "page.html"
    assert write_duplicates(groups, page) == 2
    read = Reader(page)
    assert [source[:15] for source in read.sources] == ["data:image/jpeg"] * 3
    assert any(text.endswith(r"<b>&\udcff.png") for text in read.texts)
    assert {"first", "0.970", "copy", "no thumbnail"} <= set(read.texts)
    assert "prefers-color-scheme: dark" in page.read_text()
    monkeypatch.setattr(duplicates_page, "MOST_FILES", 3)
    assert write_duplicates(groups, page) == 1
