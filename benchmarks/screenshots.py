"""Take the screenshots of the documentation: of a report, and of the page over a folder.

    openbind demo
    python benchmarks/screenshots.py --report demo/index.html --out docs/demo.png
    openbind serve FOLDER --port 8000 &
    python benchmarks/screenshots.py --url "http://127.0.0.1:8000/?q=dog" --out docs/page.png

Needs Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

REPORT_SIZE, PAGE_SIZE = (1000, 1350), (1280, 900)
MARGIN = 20
FIRST = "audio →"
"""Heading of the first neighbors."""
COLORS = 256


def show_report(page: Page, report: Path) -> Image.Image:
    """Return the first matrix of a report over the neighbors of sounds, and what follows them."""
    page.goto(report.absolute().as_uri())
    matrix = _image(page.locator(".maps > *").first.screenshot())
    # Images are loaded as they come into view.
    page.evaluate(
        "document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })"
    )
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    section = page.locator("#neighbors")
    heading = section.get_by_role("heading", name=FIRST, exact=True).first.bounding_box()
    box = section.bounding_box()
    assert heading is not None
    assert box is not None
    whole = _image(section.screenshot())
    neighbors = whole.crop((0, round(heading["y"] - box["y"]), whole.width, whole.height))
    shown = Image.new("RGB", REPORT_SIZE, matrix.getpixel((0, 0)))
    shown.paste(matrix, (MARGIN, MARGIN))
    shown.paste(neighbors, (MARGIN, matrix.height + 2 * MARGIN))
    return shown


def show_page(page: Page, url: str) -> Image.Image:
    """Return the results of a search."""
    page.goto(url)
    page.wait_for_selector("#gallery .hit")
    page.wait_for_load_state("networkidle")
    return _image(page.screenshot())


def _image(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--report", type=Path)
    what.add_argument("--url")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    width, height = REPORT_SIZE if given.report else PAGE_SIZE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        shown = show_report(page, given.report) if given.report else show_page(page, given.url)
        browser.close()
    shown.quantize(COLORS).save(given.out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
