"""The page in a browser: a link's search is shown, everything is named for readers of screens."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import httpx2 as httpx
import pytest

from openbind import Index
from openbind.serving.app import PAGE_TYPES

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--virtual-time-budget=8000",
    "--enable-logging=stderr",
]


def look(url: str, width: int, place: Path) -> tuple[str, str]:
    """Open a page; gives the document as the browser has it then, and what it complained of."""
    assert CHROMIUM is not None
    flags = [*FLAGS, f"--window-size={width},900", f"--user-data-dir={place}", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *flags, url], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_files_of_the_page() -> None:
    """All are served, none loads anything from elsewhere, none has code in its HTML."""
    folder = files("openbind") / "serving" / "page"
    assert {file.name for file in folder.iterdir()} == set(PAGE_TYPES)
    for name in PAGE_TYPES:
        text = (folder / name).read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\"' ]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, name
        assert "innerHTML" not in text, name
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|<script>|style=", html)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_search(live: httpx.Client, tmp_path: Path, width: int) -> None:
    """Words minus words find pictures and sounds with players, moments and names for all."""
    html, complaints = look(f"{live.base_url}/?q=a+rooster&minus=rain", width, tmp_path)
    assert not complaints
    gallery = html[html.index('id="gallery"') : html.index("</ol>")]
    names = re.findall(r'class="name" title="[^"]*/([^"]+)"', gallery)
    assert names[0].startswith("rooster")
    assert len(names) == len(set(names)) == 8
    assert gallery.count("<audio") == 3
    assert re.search(r'aria-label="Play from 0:0\d', gallery)
    assert 'class="part minus"' in html
    for tag in re.findall(r"<(?:button|a|input|audio|select)\b[^>]*>", gallery):
        assert "aria-label" in tag, tag


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_more_like_this_and_the_atlas(live: httpx.Client, index: Index, tmp_path: Path) -> None:
    """An item's link finds itself first; the atlas counts what it shows."""
    row = index.sample(1, 0)[0][0]
    html, complaints = look(f"{live.base_url}/?like={row.id}", 1280, tmp_path)
    assert not complaints
    assert f'title="{row.root.name}/{row.path.name}"' in html
    html, complaints = look(f"{live.base_url}/#atlas", 1280, tmp_path)
    assert not complaints
    assert f"{len(index)} items" in html
