"""Take the screenshots of the documentation: of a report, and of the page over a folder.

    openbind demo
    python benchmarks/screenshots.py --report demo/index.html --out docs/demo.png
    openbind serve FOLDER --port 8000 &
    python benchmarks/screenshots.py --url "http://127.0.0.1:8000/?q=dog" --out docs/page.png

Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

REPORT_SIZE, PAGE_SIZE = (1000, 1480), (1280, 900)
COLORS = 256


def open_report(page: Page, report: Path) -> None:
    """Show a report from its matrix on."""
    page.goto(report.absolute().as_uri())
    page.locator("#matrix").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#matrix').scrollIntoView()")


def open_page(page: Page, url: str) -> None:
    """Show the results of a search."""
    page.goto(url)
    page.wait_for_selector("#gallery .hit")
    page.wait_for_load_state("networkidle")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--report", type=Path)
    shown.add_argument("--url")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    width, height = REPORT_SIZE if given.report else PAGE_SIZE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        if given.report:
            open_report(page, given.report)
        else:
            open_page(page, given.url)
        page.screenshot(path=given.out)
        browser.close()
    with Image.open(given.out) as image:
        small = image.convert("RGB").quantize(COLORS)
    small.save(given.out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
