"""`openbind duplicates`: edited images and copies are found, other files aren't."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from openbind.catalog import shipped

Run = Callable[..., tuple[int, str, str]]
ROOMS = shipped("starter").parent / "held_out" / "rooms"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs, a copy and two edits of the first, a broken file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    bedroom, office = ROOMS / "bedroom-1.jpg", ROOMS / "office-1.jpg"
    for path in (bedroom, office):
        shutil.copy(path, folder)
    shutil.copy(bedroom, folder / "copy.jpg")
    with Image.open(bedroom) as image:
        image.resize((image.width // 2, image.height // 2)).save(folder / "small.jpg")
        image.crop((20, 20, image.width - 20, image.height - 20)).save(folder / "cropped.jpg")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_duplicates(run: Run, folder: Path, tmp_path: Path) -> None:
    """One group; a broken file is named, and fails only with --strict."""
    page = tmp_path / "page.html"
    chosen = ["duplicates", folder, "--modalities", "image"]
    code, out, err = run(*chosen, "--json", "-o", page)
    found = json.loads(out)
    assert code == 0
    (group,) = found["groups"]
    names = {Path(file["path"]).name for file in group["files"]}
    assert names == {"bedroom-1.jpg", "copy.jpg", "small.jpg", "cropped.jpg"}
    assert (found["copies"], found["near"]) == (1, 2)
    assert [Path(each["path"]).name for each in found["skipped"]] == ["broken.png"]
    assert page.read_text().count("data:image/jpeg") == 4
    assert "broken.png" in err
    code, out, _ = run(*chosen, "--threshold", "1", "--strict")
    assert code == 1
    assert "copies: 1 (" in out
    assert "small.jpg" not in out


@pytest.mark.parametrize("threshold", ["0", "1.1", "-1", "nan", "much"])
def test_thresholds(run: Run, folder: Path, threshold: str) -> None:
    """Cosines above 0, up to 1."""
    with pytest.raises(SystemExit) as stop:
        run("duplicates", folder, "--threshold", threshold)
    assert stop.value.code == 2


def test_pages_are_html(run: Run, folder: Path) -> None:
    """Another extension is refused before anything is embedded."""
    code, out, err = run("duplicates", folder, "-o", "page.pdf")
    assert (code, out) == (1, "")
    assert "page.pdf" in err
