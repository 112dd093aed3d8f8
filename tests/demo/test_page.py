"""The page stands alone: every image and sound is in it, and nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import openbind
from openbind.demo.page import write_page
from openbind.demo.samples import SampleItem, read_script, read_unseen
from openbind.demo.showcase import build_showcase

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(
    starter: openbind.Space,
    sample_items: list[SampleItem],
    samples: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The demo's page as text."""
    target = tmp_path_factory.mktemp("page") / "index.html"
    script = read_script(samples)
    items = sample_items + read_unseen(script.unseen)
    write_page(build_showcase(starter, items, script, samples), samples, target)
    return target.read_text()


def test_nothing_is_fetched(page: str) -> None:
    """Sources are data URLs; no script, no stylesheet from elsewhere."""
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) > 60
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in page
    assert "<link" not in page


def test_shows_images_sounds_and_heat_maps(page: str) -> None:
    """Thumbnails, players and colored tables, of confusions and of cosines."""
    assert page.count("<img ") > 30
    assert page.count("<audio ") > 20
    assert page.count("<video ") > 1
    assert page.count('class="heat"') == 6


def test_says_what_was_measured(page: str, starter: openbind.Space) -> None:
    """The card's numbers and limits stand beside the samples, which prove nothing."""
    assert "On data kept out of training" in page
    assert all(f"<td>{m.metric}</td>" in page for m in starter.card.measurements)
    assert page.count("<li>") == len(starter.card.limits)


def test_texts_are_escaped(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path, tmp_path: Path
) -> None:
    """A title can't bring markup into the page."""
    from dataclasses import replace

    evil = [
        replace(item, title="<script>x</script>") if item.path else item for item in sample_items
    ]
    write_page(
        build_showcase(starter, evil, read_script(samples), samples), samples, tmp_path / "x.html"
    )
    assert "<script" not in (tmp_path / "x.html").read_text()
