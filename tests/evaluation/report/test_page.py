"""The page stands alone, escapes what it is given, and works in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from openbind.evaluation.collection import CollectionItem
from openbind.evaluation.report.contents import Report
from openbind.evaluation.report.page import (
    MOST_PLAYED_TOTAL_BYTES,
    Media,
    _name_regions,
    _x,
    _y,
    format_number,
    write_report,
)
from openbind.space.card import Card

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's page."""
    target = tmp_path_factory.mktemp("page") / "report.html"
    write_report(report, target)
    return target


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    """The page as text."""
    return written.read_text(encoding="utf-8")


def test_nothing_is_fetched(html: str) -> None:
    """Sources are data URLs or parts of the page, and the page forbids itself all else."""
    sources = re.findall(r'(?:src|poster|href)="([^"]{0,20})', html)
    assert len(sources) > 100
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "default-src 'none'" in html
    assert "<link" not in html
    assert "@import" not in html


def test_everything_is_shown(html: str) -> None:
    """Images, players and curves; a sound that is found often is in the page once."""
    assert html.count("<audio ") > 3
    assert html.count("<video ") > 3
    assert html.count("<blockquote>") > 10
    store = json.loads(re.findall(r'id="store">(.*?)</script>', html, re.DOTALL)[0])
    assert sorted(url[:9] for url in store["played"]) == ["data:audi", "data:vide"]
    assert len(store["images"]) == html.count("</title></use>") == 24


def test_matrix_has_every_direction(html: str, report: Report) -> None:
    """Raw and centered: 30 cells each, with the control and chance."""
    cells = re.findall(r'<td class="(trained|emergent)[ "]', html)
    assert len(cells) == 60
    assert cells.count("trained") == 2 * sum(cell.trained for cell in report.cells)
    cell = report.cells[0]
    control = f"permuted {format_number(cell.shuffled[0].value)}"
    assert html.count(control) >= 2
    assert f"chance {format_number(cell.raw[0].chance)}%" in html
    low, high = cell.raw[0].interval or (0, 0)
    assert f"<small>{100 * low:.0f}–{100 * high:.0f}, n {cell.count}</small>" in html


def test_inherited_pairs_are_marked(html: str, report: Report) -> None:
    """Videos go through the images' tower: what the card says of images only is inherited."""
    shown = re.findall(r'title="(\w+) → (\w+), (\w+): R@1', html)
    kinds = {(query, target): kind for query, target, kind in shown}
    named = {frozenset(pair) for pair in report.card.trained_pairs}
    assert frozenset(("image", "text")) in named
    assert kinds["image", "text"] == "trained"
    assert kinds["video", "text"] == kinds["text", "video"] == "inherited"
    assert kinds["audio", "imu"] == "emergent"


def test_names_lie_where_points_are(report: Report) -> None:
    """Also where the middle of a class is empty: at one of its items."""
    spots = [(0.1, 0.1), (0.1, 0.12), (0.9, 0.9), (0.9, 0.5)]
    item = replace(report.points[0].item, label="dog")
    points = [replace(report.points[0], item=item, x=x, y=y) for x, y in spots]
    ((name, x, y),) = _name_regions(points)
    assert name == "dog"
    assert (x, y) in [(_x(left), _y(up)) for left, up in spots]


def test_columns_without_values_are_dropped(report: Report, tmp_path: Path) -> None:
    """Where no paper's number is known there is no column for it."""
    results = tuple(replace(result, published=()) for result in report.results)
    write_report(replace(report, results=results), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "published" not in text.partition("</style>")[2].partition("<script")[0]


def test_scores_beside_published_ones(html: str) -> None:
    """A column per space, a dash where one wasn't measured, the paper's number beside."""
    assert re.search(r'<th class="num">ours</th><th class="num">theirs</th>', html)
    assert "<b>66.9</b>" in html
    assert "a paper, table 2" in html
    assert '<td class="num">–</td>' in html


def test_warnings_and_confusions(html: str, report: Report) -> None:
    """Warnings stand before the numbers; each result has its confusion matrices."""
    first = html.index('<div class="warnings"')
    assert first < html.index('id="matrix"')
    assert html.count("<li>") >= len(report.warnings)
    assert html.count('class="counts"') == 2
    assert "rain as sea (1)" in html
    assert "accuracy 87.5% of 8" in html


def test_texts_are_escaped(report: Report, tmp_path: Path) -> None:
    """Neither a title nor a card brings markup or scripts into the page."""
    evil = "</script><script>alert(1)</script>\"'>"

    def spoil(item: CollectionItem) -> CollectionItem:
        return replace(item, title=evil, label=evil)

    queries = tuple(
        replace(
            query,
            title=evil,
            parts=tuple(replace(part, item=spoil(part.item)) for part in query.parts),
        )
        for query in report.queries
    )
    points = tuple(replace(point, item=spoil(point.item)) for point in report.points)
    credited = tuple(map(spoil, report.credited))
    target = tmp_path / "evil.html"
    spoilt = replace(report, title=evil, queries=queries, points=points, warnings=(evil,))
    spoilt = replace(spoilt, credited=credited)
    write_report(replace(spoilt, card=Card(summary=evil, limits=(evil,))), target)
    text = target.read_text(encoding="utf-8")
    assert text.count("<script") == 2  # Our own, and what it reads.
    assert "alert(1)</script>" not in text


def test_an_empty_report_has_a_page(report: Report, tmp_path: Path) -> None:
    """Without suites, cells, queries, a map or a card, the rest is shown."""
    bare = replace(report, card=Card(), results=(), cells=(), queries=(), warnings=())
    bare = replace(bare, points=(), credited=())
    write_report(bare, tmp_path / "bare.html")
    text = (tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "not measured" in text
    assert 'class="warnings"' not in text
    assert 'id="map"' not in text
    assert 'id="suites"' not in text


def test_unwritten_where_an_item_is_missing(report: Report, tmp_path: Path) -> None:
    """The page is whole or not there."""
    point = report.points[0]
    point = replace(point, item=replace(point.item, path=Path("/none.png")))
    with pytest.raises(ValueError, match="no such file"):
        write_report(replace(report, points=(point,)), tmp_path / "x.html")
    assert not list(tmp_path.iterdir())


def test_players_are_held_once_and_not_too_many(media: dict[str, Path]) -> None:
    """One number for one file, however often; none once the page is full."""
    sound, video = (CollectionItem(title=name, path=media[name]) for name in ("audio", "video"))
    shown = Media()
    assert [shown.player(sound) for _ in range(2)] == [0, 0]
    assert shown.player(video) == 1
    assert len(shown.played) == 2
    full = Media(played=["x" * MOST_PLAYED_TOTAL_BYTES])
    assert full.player(sound) is None


@pytest.mark.parametrize(
    ("modality", "kind"),
    [
        ("image", "image"),
        ("thermal", "image"),
        ("imu", "image"),
        ("audio", "sound"),
        ("video", "video"),
    ],
)
def test_kinds(media: dict[str, Path], modality: str, kind: str) -> None:
    """What can be played is a sound or a video, texts are quoted, all else is drawn."""
    assert Media().kind(CollectionItem(title="x", path=media[modality]), modality) == kind
    assert Media().kind(CollectionItem(title="x"), "text") == "quote"


def test_numbers() -> None:
    """Fractions in percent, ranks unchanged."""
    assert format_number(0.4567) == "45.7"
    assert format_number(7.5, "median rank") == "7.5"


def test_sums(report: Report, tmp_path: Path) -> None:
    """A query of several parts is a sum, with its weights and what it was expected to find."""
    (query, *_) = report.queries
    (part,), near = query.parts, query.neighbors[0]
    hit = replace(near, found=(replace(near.found[0], match="sum"),))
    parts = (replace(part, weight=0.6), replace(part, weight=-0.4))
    both = replace(query, title="one minus another", parts=parts, neighbors=(hit,))
    write_report(replace(report, queries=(both,), selected=True), tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    section = text[text.index('id="sums"') : text.index('id="confusions"')]
    assert "one minus another" in section
    assert "+0.6 ×" in section
    assert "-0.4 ×" in section
    assert "contains all parts" in section


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_works_in_a_browser(written: Path, tmp_path: Path) -> None:
    """The script runs to its end: players have their sounds, points have our own tooltips."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    folder = f"--user-data-dir={tmp_path}"
    done = subprocess.run(
        [str(CHROMIUM), *options, folder, "--dump-dom", written.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    players = re.findall(r"<(?:audio|video) [^>]*?>", done.stdout)
    assert len(players) > 6
    assert all('src="data:' in player for player in players)
    assert done.stdout.count("data-title=") == 24
