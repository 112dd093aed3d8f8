"""The page in a browser: typing, dropping files, recording, weights, keyboard alone."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import openbind
from openbind import Index
from openbind.generation.decoder import report
from openbind.serving.app import create_app
from openbind.serving.service import Service
from openbind.serving.site import PAGE_TYPES

pytestmark = pytest.mark.slow

PATH = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
    "--use-fake-ui-for-media-stream",
]
DROP = """([name, type, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""
HALVES = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const sums = [0, 0];
  data.forEach((value, at) => {
    if (at % 4 === 3) sums[Number(((at - 3) / 4) % canvas.width >= canvas.width / 2)] += value;
  });
  return sums;
}"""
"""How opaque the left and the right half of a map are."""
PASTE = DROP.replace('DragEvent("drop", { dataTransfer', 'ClipboardEvent("paste", { clipboardData')

expect.set_options(timeout=60_000)
needs_browser = pytest.mark.skipif(PATH is None, reason="no Chromium here")
Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own browser."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=PATH, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, live: httpx.Client) -> Iterator[Page]:
    """A desktop-sized window; errors in its console fail the test."""
    with _window(browser, str(live.base_url), 1280) as window:
        yield window


class _window:  # noqa: N801 - a context
    def __init__(self, browser: Browser, url: str, width: int, expected: str = "") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, base_url=url, permissions=["microphone"]
        )
        self.messages: list[str] = []
        self.expected = [expected] if expected else []

    def __enter__(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        return page

    def __exit__(self, kind: object, *rest: object) -> None:
        self.context.close()
        assert kind is not None or sorted(set(self.messages)) == self.expected


def found(page: Page) -> list[str]:
    """Wait for the results of a search and return their names."""
    expect(page.locator("#status")).to_contain_text(re.compile(r"in \d.* s\."))
    return page.locator("#gallery .name").all_inner_texts()


def test_files_of_the_page() -> None:
    """All are served, nothing is loaded from elsewhere, no code in the HTML, valid ARIA."""
    folder = files("openbind") / "serving" / "page"
    assert {file.name for file in folder.iterdir()} == set(PAGE_TYPES)
    for name in PAGE_TYPES:
        text = (folder / name).read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\"' ]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, name
        assert "innerHTML" not in text, name
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|<script>|style=", html)
    aria = {"label", "labelledby", "controls", "selected", "live", "pressed"}
    assert set(re.findall(r"\saria-(\w+)", html)) == aria


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_link(browser: Browser, live: httpx.Client, width: int) -> None:
    """Text minus text finds images and audio; it fits the screen; controls have names."""
    with _window(browser, str(live.base_url), width) as page:
        page.goto("/?q=a+rooster&minus=rain")
        names = found(page)
        assert names[0].startswith("rooster")
        assert len(names) == len(set(names)) == 8
        assert page.locator(".part.minus .name").inner_text() == "rain"
        assert page.locator("#gallery audio").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        html = page.locator("#gallery").inner_html()
        for tag in re.findall(r"<(?:button|a|input|audio|select)\b[^>]*>", html):
            assert "aria-label" in tag, tag
        images = page.locator("#gallery img")
        for index in range(images.count()):
            images.nth(index).scroll_into_view_if_needed()
            expect(images.nth(index)).not_to_have_js_property("naturalWidth", 0)


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_where_and_when(browser: Browser, live: httpx.Client, width: int) -> None:
    """A map over an image when it is hovered or asked for; a curve that seeks under a player."""
    with _window(browser, str(live.base_url), width) as page:
        page.goto("/?q=a+rooster")
        found(page)
        card = page.locator("#gallery .hit", has=page.locator(".image + .info")).first
        card.locator(".image").hover()
        expect(card.locator(".heat")).to_be_visible(timeout=60_000)
        pixels = card.locator(".heat").evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x)"
        )
        assert pixels
        page.locator("#status").hover()
        expect(card.locator(".heat")).to_be_hidden()
        card.locator(".where").click()
        expect(card.locator(".heat")).to_be_visible()
        sound = page.locator("#gallery .hit", has=page.locator("audio")).first
        sound.locator(".where").click()
        expect(sound.locator("svg.curve")).to_be_visible(timeout=60_000)
        sound.locator(".moment").first.click()
        sound.locator("svg.curve").click()
        player = sound.locator("audio")
        page.wait_for_function("(p) => p.currentTime > 0.1", arg=player.element_handle())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_imagined_images(browser: Browser, live: httpx.Client, width: int) -> None:
    """Four images of the query; other ones the next time; one becomes part of the query."""
    with _window(browser, str(live.base_url), width) as page:
        page.goto("/?q=a+rooster")
        found(page)
        page.get_by_role("button", name="Imagine", exact=True).click()
        expect(page.locator("#status")).to_have_text("Drew 4 images.")
        images = page.locator("#imagined img")
        expect(images).to_have_count(4)
        expect(images.first).not_to_have_js_property("naturalWidth", 0)
        expect(page.locator("#imagined progress")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        first = images.first.get_attribute("src")
        page.get_by_role("button", name="Imagine", exact=True).click()
        expect(images.first).not_to_have_attribute("src", first or "")
        page.get_by_label("Use imagined image 2 in the query").click()
        found(page)
        names = page.locator(".part .name").all_inner_texts()
        assert names == ["a rooster", "imagined-2-2.png"]
        assert page.locator(".part select").input_value() == "image"


@needs_browser
def test_canceled_images(browser: Browser, starter: openbind.Space, running: Running) -> None:
    """Progress is shown; canceling ends it and says so; without a decoder there is no button."""

    class Endless:
        dim, accepts, candidates = starter.dim, "", 1

        def draw(self, vectors_BE: np.ndarray, *, progress: Any, **_: Any) -> list[list[Any]]:
            while True:
                report(progress, 3, 10)
                time.sleep(0.01)

    app = create_app(Service(starter.with_generator(Endless())))
    expected = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    with running(app) as client, _window(browser, str(client.base_url), 1280, expected) as page:
        page.goto("/?q=a+rooster")
        page.get_by_role("button", name="Imagine", exact=True).click()
        expect(page.locator("#imagined progress")).to_have_js_property("value", 3)
        page.locator("#imagined").get_by_role("button", name="Cancel").click()
        expect(page.locator("#status")).to_have_text("Canceled.")
        expect(page.locator("#imagined")).to_be_hidden()
    plain = starter.with_limits()
    plain.generator = None
    app = create_app(Service(plain))
    with running(app) as client, _window(browser, str(client.base_url), 1280, expected) as page:
        page.goto("/")
        expect(page.locator("#status")).to_contain_text("no index")
        expect(page.locator("#imagine")).to_be_hidden()


@needs_browser
def test_typed_before_the_page_is_ready(page: Page) -> None:
    """Text typed and submitted while the page loads isn't lost."""
    page.route("**/v1/models", lambda route: (page.wait_for_timeout(300), route.continue_()))
    page.goto("/", wait_until="commit")
    page.wait_for_selector("#text")
    page.wait_for_load_state("domcontentloaded")
    page.fill("#text", "a rooster")
    page.press("#text", "Enter")
    assert found(page)[0].startswith("rooster")
    assert page.input_value("#text") == "a rooster"


@needs_browser
def test_by_keyboard_alone(page: Page) -> None:
    """/ focuses the search box, Tab a result, Enter finds similar ones; arrows walk the atlas."""
    page.goto("/")
    page.wait_for_selector("#modalities input")
    page.keyboard.press("/")
    page.keyboard.type("rain")
    page.keyboard.press("Enter")
    first = found(page)[0]
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "More like this":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#parts .part")
    assert page.locator("#parts .name").inner_text() == first
    expect(page.locator("#gallery .name").first).not_to_have_text(first)
    assert first not in found(page)
    page.focus("#tab-lanes")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#legend label")
    expect(page.locator("#status")).to_have_text("8 items")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    chosen = page.locator("#selected strong").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#results:not([hidden])")
    assert page.locator("#parts .name").inner_text() == chosen


@needs_browser
def test_dropped_pasted_and_weighted(page: Page, media: Path) -> None:
    """An image is dropped, audio pasted; the slider and ± negate a weight."""
    page.goto("/")
    page.wait_for_selector("#modalities input")
    image, audio = media / "dog.webp", media / "rain.ogg"
    page.evaluate(DROP, [image.name, "image/webp", list(image.read_bytes())])
    assert found(page)[0] == "dog.webp"
    page.evaluate(PASTE, [audio.name, "audio/ogg", list(audio.read_bytes())])
    page.wait_for_selector(".part:nth-child(2)")
    assert page.locator(".part select").evaluate_all("all => all.map(s => s.value)") == [
        "image",
        "audio",
    ]
    page.locator(".part input[type=range]").nth(0).fill("-0.5")
    expect(page.locator("#gallery .name").first).to_have_text("rain.ogg")
    expect(page.locator(".part.minus output")).to_have_text("−0.50")
    page.get_by_label("Negate the weight of dog.webp").click()
    page.get_by_label("Remove rain.ogg").click()
    expect(page.locator("#gallery .name").first).to_have_text("dog.webp")
    page.get_by_label("audio 3").check()
    expect(page.locator("#gallery .hit")).to_have_count(3)


@needs_browser
def test_shown_large(page: Page) -> None:
    """An image itself; of a depth map, which a browser would show black, its plot."""
    page.goto("/?q=a+kitchen")
    found(page)
    for name, route in (("dog.webp", "media"), ("kitchen-1.png", "drawing")):
        page.get_by_label(f"Show {name}").click()
        image = page.locator("#viewer[open] img")
        expect(image).not_to_have_js_property("naturalWidth", 0)
        assert (image.get_attribute("src") or "").endswith(route)
        if route == "drawing":  # the bar has the drawing's colors, those of depth
            bar = page.locator("#viewer .scale")
            expect(bar).to_have_text("farnear")
            style = "bar => getComputedStyle(bar, '::before').backgroundImage"
            assert "rgb(68, 1, 84)" in bar.evaluate(style)
        page.keyboard.press("Escape")


@needs_browser
def test_recorded(page: Page) -> None:
    """A query is recorded from the microphone."""
    page.goto("/")
    page.wait_for_selector("#modalities input")
    page.click("#record")
    page.wait_for_selector("#record.recording")
    page.wait_for_timeout(1500)
    page.click("#record")
    assert len(found(page)) == 8
    assert page.locator(".part select").input_value() == "audio"


@needs_browser
def test_plays_the_segment_found(
    browser: Browser, starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """A half-minute recording plays from the segment with the rooster."""
    crow, rate = soundfile.read(media / "rooster.ogg", always_2d=True)
    sound = np.random.default_rng(0).normal(0, 0.003, (30 * rate, crow.shape[1]))
    sound[22 * rate : 22 * rate + len(crow)] = crow
    (tmp_path / "long").mkdir()
    soundfile.write(tmp_path / "long" / "farm.flac", sound, rate)
    index = Index.create(tmp_path / "index", starter, [tmp_path / "long"])
    index.update(starter)
    app = create_app(Service(starter, index), "the key")
    expected = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    with running(app) as client, _window(browser, str(client.base_url), 390, expected) as page:
        page.goto("/?q=a+rooster")
        page.wait_for_selector("#key[open]")
        page.fill("#key [type=password]", "the key")
        page.keyboard.press("Enter")
        assert found(page) == ["farm.flac"]
        page.get_by_label("Play ▸ 0:20").click()
        player = page.locator("#gallery audio")
        expect(player).to_have_js_property("paused", False)
        assert player.evaluate("player => player.currentTime") >= 20


@needs_browser
def test_converted(
    browser: Browser, starter: openbind.Space, tmp_path: Path, running: Running
) -> None:
    """An AVI and an AIFF are converted and play; of a broken one the page says why it doesn't."""
    av = pytest.importorskip("av", reason="the extra video isn't installed")
    root = tmp_path / "files"
    root.mkdir()
    soundfile.write(root / "noise.aiff", np.random.default_rng(0).normal(0, 0.1, 44_100), 44_100)
    for name in ("film.avi", "broken.avi"):
        with av.open(root / name, "w") as container:
            stream = container.add_stream("mpeg4", rate=8)
            stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
            for number in range(16):
                shown = Image.new("RGB", (320, 160), (9 * number, 140, len(name)))
                container.mux(stream.encode(av.VideoFrame.from_image(shown)))
            container.mux(stream.encode())
    index = Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    (root / "broken.avi").write_bytes(b"RIFF" + bytes(999))
    expected = "Failed to load resource: the server responded with a status of 415 "
    expected += "(Unsupported Media Type)"
    with (
        running(create_app(Service(starter, index))) as client,
        _window(browser, str(client.base_url), 1280, expected) as page,
    ):
        page.goto("/?q=noise")
        assert set(found(page)) == {"noise.aiff", "film.avi", "broken.avi"}
        for name in ("noise.aiff", "film.avi"):
            player = page.locator(f"#gallery [aria-label='{name}']:is(audio, video)")
            player.evaluate("player => { player.muted = true; player.play(); }")
            expect(player).to_have_js_property("ended", True)
            assert player.evaluate("player => player.duration") == pytest.approx(
                {"noise.aiff": 1, "film.avi": 2}[name], abs=0.2
            )
        page.route("**/playable", lambda route: route.fulfill(status=206, body=b"no video"))
        page.reload()
        found(page)
        player = page.locator("video[aria-label='film.avi']")
        player.evaluate("player => { player.play().catch(() => {}); }")
        card = page.locator("#gallery .hit", has=player)
        expect(card.locator(".unplayed")).to_contain_text("your browser can't play it")
        page.unroute("**/playable")
        player = page.locator("video[aria-label='broken.avi']")
        player.evaluate("player => { player.play().catch(() => {}); }")
        card = page.locator("#gallery .hit", has=player)
        expect(card.locator(".unplayed")).to_contain_text("can't be played here")


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_map_over_a_video(
    browser: Browser,
    starter: openbind.Space,
    media: Path,
    tmp_path: Path,
    running: Running,
    width: int,
) -> None:
    """Over the frame of the best moment, while the video is paused there."""
    av = pytest.importorskip("av", reason="the extra video isn't installed")
    (tmp_path / "videos").mkdir()
    dog = Image.open(media / "dog.webp").convert("RGB").resize((160, 160))
    with av.open(tmp_path / "videos" / "garden.webm", "w") as container:
        stream = container.add_stream("vp8", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        for number in range(48):
            picture = Image.new("RGB", (320, 160), (90, 140, 80))
            if number >= 32:
                picture.paste(dog, (160, 0))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    index = Index.create(tmp_path / "index", starter, [tmp_path / "videos"])
    index.update(starter)
    app = create_app(Service(starter, index))
    with running(app) as client, _window(browser, str(client.base_url), width) as page:
        page.goto("/?q=a+dog")
        assert "garden.webm" in found(page)
        card = page.locator("#gallery .hit", has=page.locator("video")).first
        card.locator(".where").click()
        heat = card.locator(".heat")
        expect(heat).to_be_visible(timeout=60_000)
        video = card.locator("video")
        assert video.evaluate("video => video.currentTime") > 3.5
        left, right = heat.evaluate(HALVES)
        assert right > left
        video.evaluate("video => { video.currentTime = 0.5; }")
        expect(heat).to_be_hidden()


@pytest.fixture(scope="module")
def album(
    starter: openbind.Space, media: Path, tmp_path_factory: pytest.TempPathFactory, running: Running
) -> Iterator[httpx.Client]:
    """A service of folders with copies, two years, a camera, and more than a screen of images."""
    root = tmp_path_factory.mktemp("album") / "Album"
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "D70"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:06:14 23:30:00"
    for folder in ("Trips/Sea", "Home", "Copies"):
        (root / folder).mkdir(parents=True)
        shutil.copy(media / "dog.webp", root / folder)
    with Image.open(media / "rooster.webp") as image:
        image.convert("RGB").save(root / "Trips" / "rooster.jpg", exif=exif)
    shutil.copy(media / "rain.ogg", root)
    shutil.copy(media / "dog.ogg", root)
    for number in range(30):
        Image.new("RGB", (32, 32), (8 * number, 80, 90)).save(root / "Home" / f"{number:02}.png")
    index = Index.create(root / ".openbind", starter, [root])
    index.update(starter)
    with running(create_app(Service(starter, index))) as client:
        yield client


@needs_browser
def test_the_address_is_the_search(browser: Browser, album: httpx.Client, media: Path) -> None:
    """Chips of one line, a dropped file, a filter: Back, Forward, reload, a copied link."""
    gone = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    with _window(browser, str(album.base_url), 1280, gone) as page:
        page.goto("/")
        expect(page.locator(".random .hit")).to_have_count(24)
        page.fill("#text", 'dog -snow +"red car"')
        page.press("#text", "Enter")
        found(page)
        names = ["dog", "snow", "red car"]
        assert page.locator("#parts .name").all_inner_texts() == names
        assert page.locator(".part.minus .name").all_inner_texts() == ["snow"]
        first = page.url
        page.fill("#text", "left over")
        content = list((media / "dog.webp").read_bytes())
        page.evaluate(DROP, ["a dog.webp", "image/webp", content])
        names += ["left over", "a dog.webp"]
        expect(page.locator("#parts .name")).to_have_text(names)
        page.locator("#facets summary", has_text="Folder").click()
        page.get_by_label("Album/Trips 2").check()
        expect(page.locator("[data-modality=image] .count")).to_contain_text("all 2")
        link, shown = page.url, found(page)
        page.go_back()
        expect(page.locator("[data-modality=image] .count")).not_to_contain_text("all 2")
        page.go_back()
        expect(page.locator("#parts .name")).to_have_text(names[:3])
        assert page.url == first
        page.go_forward()
        page.go_forward()
        expect(page.locator("[data-modality=image] .count")).to_contain_text("all 2")
        page.reload()
        assert (page.url, found(page)) == (link, shown)
        expect(page.locator("#parts .name")).to_have_text(names)
        page.goto("/?part=1+image+nonsense+gone.png&q=dog")
        expect(page.locator("#status.error")).to_contain_text("isn't kept")


@needs_browser
def test_lanes_copies_and_scrolling(browser: Browser, album: httpx.Client) -> None:
    """Side by side and as one list that goes on; equal files are one; +, − and the viewer."""
    with _window(browser, str(album.base_url), 1280) as page:
        page.goto("/?q=a+dog")
        found(page)
        assert page.locator(".lane").evaluate_all("all => all.map(l => l.dataset.modality)") in (
            ["image", "audio"],
            ["audio", "image"],
        )
        card = page.locator(".hit", has_text="dog.webp")
        expect(card).to_have_count(1)
        expect(card.locator(".copies")).to_have_text("3 copies")
        page.get_by_label("Only image").click()
        page.wait_for_selector("#gallery:not(.lanes) .hit")
        for _ in range(8):
            page.mouse.wheel(0, 3000)
        expect(page.locator(".count")).to_contain_text(re.compile("best 32 of 34"))
        assert "is=modality" in page.url
        page.get_by_label("Details of rooster.jpg").click()
        facts = page.locator("#facts")
        for fact in ("D70", "2019", "Album/Trips"):
            expect(facts).to_contain_text(fact)
        title = page.locator("#viewer-title")
        page.keyboard.press("ArrowRight")
        expect(title).not_to_have_text("rooster.jpg")
        page.keyboard.press("ArrowLeft")
        expect(title).to_have_text("rooster.jpg")
        assert page.get_attribute("#download", "download") == "rooster.jpg"
        page.keyboard.press("Escape")
        page.get_by_label("Steer away from dog.webp").click()
        expect(page.locator(".part.minus .name")).to_have_text("dog.webp")
        expect(page.locator(".hit", has_text="dog.webp")).to_have_count(0)


@needs_browser
def test_refused_saved_and_known(browser: Browser, album: httpx.Client) -> None:
    """A file that no modality takes is named; searches are kept; a word is tried."""
    refused = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
    with _window(browser, str(album.base_url), 1280, refused) as page:
        page.goto("/")
        page.wait_for_selector(".random .hit")
        page.evaluate(DROP, ["notes.docx", "", [80, 75, 3, 4]])
        expect(page.locator("#status.error")).to_contain_text("notes.docx")
        assert not page.locator(".part").count()
        page.evaluate(DROP, ["broken.png", "image/png", [1, 2, 3]])
        expect(page.locator("#status.error")).to_contain_text("broken.png")
        page.goto("/?q=a+dog&view=list")
        found(page)
        page.locator("#saved summary").click()
        page.get_by_label("Name of this search").fill("dogs")
        page.keyboard.press("Enter")
        page.goto("/")
        page.locator("#saved summary").click()
        page.get_by_role("link", name="dogs").click()
        found(page)
        assert page.url.endswith("?q=a+dog&view=list")
        page.click("#know")
        expect(page.locator("#card-numbers tr")).not_to_have_count(0)
        page.get_by_label("Word to try").fill("dog")
        page.keyboard.press("Enter")
        expect(page.locator("#tried li")).to_have_count(2)


LASSO = """(canvas) => {
  const at = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, bubbles: true, buttons: 1, clientX: canvas.getBoundingClientRect().x + x,
    clientY: canvas.getBoundingClientRect().y + y }));
  canvas.setPointerCapture = () => {};
  const { clientWidth: w, clientHeight: h } = canvas;
  at("pointerdown", 1, 1);
  for (const [x, y] of [[w - 1, 1], [w - 1, h - 1], [1, h - 1]]) at("pointermove", x, y);
  at("pointerup", 1, h - 1);
}"""
"""Draws a line around all points."""


@needs_browser
def test_atlas_zoom_and_lasso(browser: Browser, album: httpx.Client) -> None:
    """All rows; a line around points makes the search one among them."""
    with _window(browser, str(album.base_url), 1280) as page:
        page.goto("/?q=a+dog&view=atlas")
        expect(page.locator("#status")).to_have_text("36 items", timeout=60_000)
        page.click("#zoom-in")
        page.click("#zoom-out")
        page.click("#lasso")
        page.locator("#canvas").evaluate(LASSO)
        expect(page.locator("#among")).to_contain_text("36 items")
        found(page)
        page.click("#among")
        expect(page.locator("#among")).to_be_hidden()


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_accessible(browser: Browser, album: httpx.Client, width: int) -> None:
    """Axe finds nothing serious: before and after a search, in dialogs, the atlas, the routes."""
    axe = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")

    def serious(page: Page) -> list[str]:
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    with _window(browser, str(album.base_url), width) as page:
        page.goto("/?q=a+dog&minus=rain")
        found(page)
        assert not serious(page)
        if width == 390:
            top = page.locator("#gallery .hit").first.bounding_box()
            assert top is not None
            assert top["y"] < 700  # results on the first screen
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            lane = page.locator("[data-modality=image] .hit")
            count = lane.count()
            assert count <= 12  # further ones come when the lane is scrolled to its end
            page.locator("[data-modality=image] ol").evaluate("list => list.scrollTo(99999, 0)")
            expect(lane).not_to_have_count(count)
            return
        page.get_by_label("Details of dog.webp").click()
        assert not serious(page)
        page.keyboard.press("Escape")
        page.click("#know")
        expect(page.locator("#card-numbers tr")).not_to_have_count(0)
        assert not serious(page)
        page.keyboard.press("Escape")
        page.click("#tab-atlas")
        page.wait_for_selector("#legend label")
        assert not serious(page)
        page.goto("/docs")
        page.wait_for_selector("#routes details")
        page.locator("#routes summary").first.click()
        assert not serious(page)
