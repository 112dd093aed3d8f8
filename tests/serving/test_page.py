"""The page in a browser, as people use it: typed, dropped, recorded, weighed, by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

import openbind
from openbind import Index
from openbind.serving.app import PAGE_TYPES, create_app
from openbind.serving.service import Service

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
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
PASTE = DROP.replace('DragEvent("drop", { dataTransfer', 'ClipboardEvent("paste", { clipboardData')

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, live: httpx.Client) -> Iterator[Page]:
    """A window of a desktop's size that mustn't complain."""
    with _window(browser, str(live.base_url), 1280) as window:
        yield window


class _window:  # noqa: N801 - a context
    def __init__(self, browser: Browser, url: str, width: int, expected: str = "") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, base_url=url, permissions=["microphone"]
        )
        self.complaints: list[str] = []
        self.expected = [expected] if expected else []

    def __enter__(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda told: self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def __exit__(self, kind: object, *rest: object) -> None:
        self.context.close()
        assert kind is not None or sorted(set(self.complaints)) == self.expected


def found(page: Page) -> list[str]:
    """Wait for the results of a search; gives their names."""
    expect(page.locator("#status")).to_contain_text("found in")
    return page.locator("#gallery .name").all_inner_texts()


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


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_link(browser: Browser, live: httpx.Client, width: int) -> None:
    """Words minus words find images and sounds; it fits the screen; all is named for readers."""
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
        for place in range(images.count()):
            images.nth(place).scroll_into_view_if_needed()
            expect(images.nth(place)).not_to_have_js_property("naturalWidth", 0)


@needs_browser
def test_typed_before_the_page_is_ready(page: Page) -> None:
    """Who types and presses Enter at once doesn't lose the words."""
    page.route("**/v1/models", lambda route: (page.wait_for_timeout(300), route.continue_()))
    page.goto("/", wait_until="commit")
    page.wait_for_selector("#words")
    page.wait_for_load_state("domcontentloaded")
    page.fill("#words", "a dog")
    page.press("#words", "Enter")
    assert found(page)[0].startswith("dog")
    assert page.input_value("#words") == "a dog"


@needs_browser
def test_by_keyboard_alone(page: Page) -> None:
    """/ leads to the words, Tab to a result, Enter to more like it, arrows over the atlas."""
    page.goto("/")
    page.wait_for_selector("#only input")
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
    assert found(page)[0] == first
    page.focus("#tab-results")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#legend label")
    expect(page.locator("#status")).to_have_text("8 items")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    chosen = page.locator("#pointed strong").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#results:not([hidden])")
    assert page.locator("#parts .name").inner_text() == chosen


@needs_browser
def test_dropped_pasted_and_weighed(page: Page, media: Path) -> None:
    """A image is dropped, a sound pasted; the slider and ± turn a part into its opposite."""
    page.goto("/")
    page.wait_for_selector("#only input")
    image, sound = media / "dog.webp", media / "rain.ogg"
    page.evaluate(DROP, [image.name, "image/webp", list(image.read_bytes())])
    assert found(page)[0] == "dog.webp"
    page.evaluate(PASTE, [sound.name, "audio/ogg", list(sound.read_bytes())])
    page.wait_for_selector(".part:nth-child(2)")
    assert page.locator(".part select").evaluate_all("all => all.map(s => s.value)") == [
        "image",
        "audio",
    ]
    page.locator(".part input[type=range]").nth(0).fill("-0.5")
    expect(page.locator("#gallery .name").first).to_have_text("rain.ogg")
    expect(page.locator(".part.minus output")).to_have_text("−0.50")
    page.get_by_label("Like or unlike dog.webp").click()
    page.get_by_label("Remove rain.ogg").click()
    expect(page.locator("#gallery .name").first).to_have_text("dog.webp")
    page.get_by_label("audio 3").check()
    expect(page.locator("#gallery .hit")).to_have_count(3)


@needs_browser
def test_shown_large(page: Page) -> None:
    """A image as it is; a depth map, which a browser would show black, as it is drawn."""
    page.goto("/?q=a+kitchen")
    found(page)
    for name, place in (("dog.webp", "media"), ("kitchen-1.png", "drawing")):
        page.get_by_label(f"Show {name}").click()
        image = page.locator("#viewer[open] img")
        expect(image).not_to_have_js_property("naturalWidth", 0)
        assert (image.get_attribute("src") or "").endswith(place)
        page.keyboard.press("Escape")


@needs_browser
def test_recorded(page: Page) -> None:
    """A sound is held up to the microphone."""
    page.goto("/")
    page.wait_for_selector("#only input")
    page.click("#record")
    page.wait_for_selector("#record.recording")
    page.wait_for_timeout(1500)
    page.click("#record")
    assert len(found(page)) == 8
    assert page.locator(".part select").input_value() == "audio"


@needs_browser
def test_played_where_it_was_found(
    browser: Browser, starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """A sound of half a minute plays from the part that has the rooster in it."""
    crow, rate = soundfile.read(media / "rooster.ogg", always_2d=True)
    sound = np.random.default_rng(0).normal(0, 0.003, (30 * rate, crow.shape[1]))
    sound[22 * rate : 22 * rate + len(crow)] = crow
    (tmp_path / "long").mkdir()
    soundfile.write(tmp_path / "long" / "farm.flac", sound, rate)
    index = Index.create(tmp_path / "index", starter, [tmp_path / "long"])
    index.update(starter)
    app = create_app(Service(starter, index), "the key")
    refused = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    with running(app) as client, _window(browser, str(client.base_url), 390, refused) as page:
        page.goto("/?q=a+rooster")
        page.wait_for_selector("#key[open]")
        page.fill("#key [type=password]", "the key")
        page.keyboard.press("Enter")
        assert found(page) == ["farm.flac"]
        page.get_by_label("Play from 0:20").click()
        player = page.locator("#gallery audio")
        expect(player).to_have_js_property("paused", False)
        assert player.evaluate("player => player.currentTime") >= 20
