"""The essential walk through the page in Firefox, dark: search, filters, viewer, files, atlas."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from PIL import ExifTags, Image

import openbind
from openbind import Index
from openbind.serving.app import create_app
from openbind.serving.service import Service
from tests.firefox import Firefox, started

PATH = shutil.which("firefox") or shutil.which("firefox-esr")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PATH is None, reason="no Firefox on this machine"),
]

DONE = "/in \\d.* s\\./.test(document.getElementById('status').textContent)"
STATUS = "document.getElementById('status').textContent"
NAMES = "[...document.querySelectorAll('#gallery .name')].map((e) => e.textContent)"
DROP = """(() => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array([80, 75, 3, 4])], "notes.docx"));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
})()"""
SERIOUS = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`))"""
DRAWN = """document.querySelector("#canvas").getContext("2d")
  .getImageData(0, 0, 600, 600).data.some((value) => value)"""
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    """The machine's own browser."""
    assert PATH is not None
    with started(PATH) as browser:
        yield browser


@pytest.fixture(scope="module")
def album(
    starter: openbind.Space,
    media: Path,
    tmp_path_factory: pytest.TempPathFactory,
    running: Callable[[FastAPI], AbstractContextManager[httpx.Client]],
) -> Iterator[str]:
    """The address of a service of images, copies, sounds, videos, some not for browsers."""
    av = pytest.importorskip("av", reason="the extra video isn't installed")
    root = tmp_path_factory.mktemp("album") / "Album"
    (root / "Trips").mkdir(parents=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "D70"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:06:14 23:30:00"
    with Image.open(media / "rooster.webp") as image:
        image.convert("RGB").save(root / "Trips" / "rooster.jpg", exif=exif)
    for folder in (root, root / "Trips"):
        shutil.copy(media / "dog.webp", folder)
    for name in ("rain.webp", "rain.ogg", "dog.ogg"):
        shutil.copy(media / name, root)
    soundfile.write(root / "noise.aiff", np.random.default_rng(0).normal(0, 0.1, 44_100), 44_100)
    for name, codec in (("film.webm", "vp8"), ("film.avi", "mpeg4"), ("broken.avi", "mpeg4")):
        with av.open(root / name, "w") as container:
            stream = container.add_stream(codec, rate=8)
            stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
            for number in range(16):
                shown = Image.new("RGB", (320, 160), (9 * number, 140, len(name)))
                container.mux(stream.encode(av.VideoFrame.from_image(shown)))
            container.mux(stream.encode())
    index = Index.create(root / ".openbind", starter, [root])
    index.update(starter)
    (root / "broken.avi").write_bytes(b"RIFF" + bytes(999))
    with running(create_app(Service(starter, index))) as client:
        yield str(client.base_url)


@pytest.fixture
def page(firefox: Firefox, album: str) -> Iterator[Firefox]:
    """The page before a search, as wide as a desk's; what its console says fails the test."""
    firefox.resize(1280, 900)
    firefox.open(f"{album}/")
    firefox.until("document.querySelectorAll('.random .hit').length")
    firefox.errors.clear()
    yield firefox
    assert firefox.errors == []


def searched(page: Firefox, query: str) -> list[str]:
    """Type a query, and return the names of what is found."""
    page.fill("#text", query)
    page.press("Enter")
    return found(page)


def found(page: Firefox) -> list[str]:
    """Return the names of results once they are there."""
    page.until(DONE)
    names: list[str] = page.run(NAMES)
    return names


def test_the_address_is_the_search(page: Firefox, album: str) -> None:
    """One line of several parts, a filter with its count; Back, Forward, reload."""
    assert page.run("document.activeElement.id") == "text"
    searched(page, 'a dog -snow +"red car"')
    assert page.texts("#parts .name") == ["a dog", "snow", "red car"]
    assert page.texts(".part.minus .name") == ["snow"]
    first = page.run("location.href")
    page.click("#facets [data-name=folder] summary")
    page.click("#facets [data-name=folder] input[value='Album/Trips']")
    page.until(
        "document.querySelector('[data-modality=image] .count').textContent.includes('all 2')"
    )
    link, shown = page.run("location.href"), found(page)
    assert set(shown) == {"rooster.jpg", "dog.webp"}
    page.back()
    page.until(f"location.href === {first!r} && ({NAMES}).length > 2")
    page.back(-1)
    page.until(f"location.href === {link!r} && ({NAMES}).length === 2")
    page.reload()
    assert found(page) == shown
    assert page.texts("#parts .name") == ["a dog", "snow", "red car"]
    page.open(f"{album}/?q=a+dog&is=year:2019&view=list")
    assert found(page) == ["rooster.jpg"]


def test_lanes_copies_and_the_viewer(page: Firefox) -> None:
    """Modalities side by side, equal files once; next, previous, facts; + and − steer."""
    names = searched(page, "a dog")
    assert {"dog.webp", "dog.ogg", "film.webm"} <= set(names)
    lanes = page.run("[...document.querySelectorAll('.lane')].map((e) => e.dataset.modality)")
    assert set(lanes) == {"image", "audio", "video"}
    assert page.texts(".copies:not(:empty)") == ["2 copies"]
    page.click("[aria-label='Details of rooster.jpg']")
    page.until("document.querySelector('#viewer').open")
    facts = page.texts("#facts")[0]
    assert all(fact in facts for fact in ("D70", "2019", "Album/Trips"))
    page.until("document.querySelector('#stage img').naturalWidth")
    title = page.texts("#viewer-title")
    page.press("Right")
    assert page.texts("#viewer-title") != title
    page.press("Left")
    assert page.texts("#viewer-title") == title
    page.press("Escape")
    page.until("!document.querySelector('#viewer').open")
    page.click("[aria-label='Steer away from dog.webp']")
    page.until("document.querySelector('.part.minus')")
    assert "dog.webp" not in found(page)


def test_files_are_queries(page: Firefox, media: Path) -> None:
    """A file is chosen, one of no modality refused by its name, a sound recorded."""
    page.choose("#files", [media / "dog.webp"])
    assert found(page)[0] == "dog.webp"
    page.until("document.querySelector('.part img').naturalWidth")
    page.run(DROP)
    page.until(f"{STATUS}.includes('notes.docx')")
    page.click("[aria-label='Remove dog.webp']")
    page.click("#record")
    page.until("document.querySelector('#record.recording')")
    page.run("new Promise((done) => setTimeout(done, 1200))")
    page.click("#record")
    page.until("document.querySelector('.part select')")
    assert page.run("document.querySelector('.part select').value") == "audio"
    found(page)


def test_nothing_close(page: Firefox) -> None:
    """It is said, and results are gray; a language that the model doesn't know is said, too."""
    searched(page, "a circuit board")
    assert "Nothing close was found" in page.run(STATUS)
    assert page.run("document.querySelectorAll('.hit:not(.far)').length") == 0
    assert "filter: none" not in page.run(
        "`filter: ${getComputedStyle(document.querySelector('.hit.far .image')).filter}`"
    )
    page.open(page.run("location.origin") + "/?q=강아지")
    found(page)
    assert "English" in page.run(STATUS)


@pytest.mark.parametrize("name", ["film.webm", "film.avi", "noise.aiff"])
def test_recordings_play(page: Firefox, name: str) -> None:
    """To their end, converted where Firefox can't play the file."""
    searched(page, "noise")
    player = f"document.querySelector(`#gallery [aria-label='{name}']:is(audio, video)`)"
    page.run(f"void ({player}.muted = true, {player}.play().catch(() => {{}}))")
    page.until(f"{player}.ended")
    assert page.run(f"{player}.duration") == pytest.approx(1 if "noise" in name else 2, abs=0.2)


def test_what_cannot_be_played_says_so(page: Firefox) -> None:
    """A file that has been damaged since it was indexed."""
    searched(page, "noise")
    page.run(
        "void document.querySelector('video[aria-label=\"broken.avi\"]').play().catch(() => {})"
    )
    page.until(
        "document.querySelector('.unplayed')?.textContent.includes('can\\'t be played here')"
    )


def test_atlas(page: Firefox) -> None:
    """All items are drawn; arrow keys go from one to another, Enter searches with it."""
    searched(page, "a dog")
    page.click("#tab-atlas")
    page.until(f"{STATUS} === '10 items'")
    page.until(DRAWN)
    page.run("document.querySelector('#canvas').focus()")
    page.press("Right")
    (chosen,) = page.texts("#selected strong")
    page.press("Enter")
    page.until("!document.querySelector('#results').hidden")
    assert page.texts("#parts .name") == [chosen]
    found(page)


@pytest.mark.parametrize("width", [1280, 390])
def test_accessible(page: Firefox, width: int) -> None:
    """Axe finds nothing serious in the dark page; it fits, results are on the first screen."""
    page.resize(width, 844)
    page.reload()
    axe = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.run(f"(() => {{ {axe}\n return true; }})()")
    page.until("document.querySelectorAll('.random .hit').length")
    assert page.run("matchMedia('(prefers-color-scheme: dark)').matches")
    assert page.run(SERIOUS) == []
    searched(page, "a dog -rain")
    assert page.run(SERIOUS) == []
    assert page.run(FITS)
    assert page.run("document.querySelector('#gallery .hit').getBoundingClientRect().top") < 700
    page.click("[aria-label='Details of dog.webp']")
    assert page.run(SERIOUS) == []
    page.press("Escape")
