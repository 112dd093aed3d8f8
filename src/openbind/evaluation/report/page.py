"""Write a report as one HTML page that holds its media and fetches nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jinja2
import numpy as np

from openbind.atomic import atomic_path
from openbind.evaluation.collection import Item
from openbind.evaluation.emergence import Cell, above_chance
from openbind.evaluation.metrics import share_interval
from openbind.evaluation.report.contents import Dot, Report
from openbind.evaluation.report.drawings import draw_item, playable_url
from openbind.evaluation.tasks import Confusion, Score
from openbind.media.types import plays_as_audio, plays_as_video
from openbind.modalities import MODALITIES

if TYPE_CHECKING:
    from openbind.evaluation.run import SuiteResult
    from openbind.evaluation.suites.suite import Published

SHOWN_SIDE, DOT_SIDE = 160, 96
"""Pixels of the images among the neighbors, and of those on the map."""
MOST_PLAYED_TOTAL_BYTES = 12_000_000
"""Of all sounds and videos together, as text in the page."""
MAP_WIDTH, MAP_HEIGHT, MAP_MARGIN = 1000, 640, 24
MOST_NAMES = 40
"""Names of classes on the map."""
MOST_CLASSES = 100
"""Of a confusion matrix: one of more is too large to look at."""
MOST_MISTAKES = 8
"""Frequent mistakes that are listed under a confusion matrix."""


def write_report(report: Report, target: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Args:
        report: what to show; the files of its items are read.
        target: the HTML file.

    Raises:
        InputError: an item's file can't be drawn.
        OSError: a file can't be read, or the page can't be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    media = Media()
    html = environment.get_template("report.html.j2").render(
        report=report,
        media=media,
        cells={(cell.query, cell.target): cell for cell in report.cells},
        counts=_count_above_chance(report.cells),
        strays=_farthest_control(report.cells),
        tables=_tabulate(report.results),
        spots=[(_x(dot.x), _y(dot.y)) for dot in report.atlas],
        names=_name_regions(report.atlas),
        namings=_namings(report),
        number=format_number,
        above_chance=above_chance,
        colors={kind.modality: place for place, kind in enumerate(report.kinds)},
        size=(MAP_WIDTH, MAP_HEIGHT),
        dot_side=DOT_SIDE,
        shown_side=SHOWN_SIDE,
    )
    with atomic_path(target) as temporary:
        temporary.write_text(html, encoding="utf-8")


@dataclass
class Media:
    """Images and players of items, each made once.

    Attributes:
        played: sounds and videos by number; the page holds each once, wherever it is shown.
    """

    played: list[str] = field(default_factory=list)
    _images: dict[tuple[str, str, int], str | None] = field(default_factory=dict)
    _numbers: dict[str, int | None] = field(default_factory=dict)

    def kind(self, item: Item, modality: str) -> Literal["words", "image", "sound", "video"]:
        """Return how an item is shown."""
        if MODALITIES.get(modality).thumbnail is None:
            return "words"
        return (
            "sound"
            if plays_as_audio(item.path)
            else "video"
            if plays_as_video(item.path)
            else "image"
        )

    def image(self, item: Item, modality: str, side: int) -> str | None:
        """Draw an item; None for words."""
        key = (item.path, modality, side)
        if key not in self._images:
            self._images[key] = draw_item(*key)
        return self._images[key]

    def player(self, item: Item) -> int | None:
        """Return the number of an item's sound or video; None for others and large ones."""
        if item.path not in self._numbers:
            url = playable_url(item.path)
            used = sum(map(len, self.played))
            fits = url is not None and used + len(url) <= MOST_PLAYED_TOTAL_BYTES
            self._numbers[item.path] = len(self.played) if fits else None
            if url is not None and fits:
                self.played.append(url)
        return self._numbers[item.path]


@dataclass(frozen=True)
class ScoreRow:
    """One question to one or several spaces.

    Args:
        first: of the spaces' scores, for task, metric and chance.
        scores: one for each space; None where it wasn't asked.
        published: a paper's number, if there is one.
    """

    first: Score
    scores: tuple[Score | None, ...]
    published: Published | None


@dataclass(frozen=True)
class ScoreTable:
    """The results of one suite, a column a space."""

    suite: str
    spaces: tuple[str, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, kw_only=True)
class NamingTable:
    """What was taken for what, and how often; no rows where there are too many to look at."""

    title: str
    trained: bool | None
    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    count: int
    right: float
    interval: tuple[float, float]
    chance: float
    mistakes: tuple[tuple[str, str, int], ...]


def format_number(value: float, metric: str = "R@1") -> str:
    """Write a share in per cent, and a rank as it is."""
    return f"{value:.1f}" if "rank" in metric else f"{100 * value:.1f}"


def _tabulate(results: Sequence[SuiteResult]) -> list[ScoreTable]:
    tables = []
    for suite in dict.fromkeys(result.suite for result in results):
        own = [result for result in results if result.suite == suite]
        found = [{(s.task, s.metric): s for s in result.scores} for result in own]
        rows = []
        for key in dict.fromkeys(key for scores in found for key in scores):
            holder = next(place for place, scores in enumerate(found) if key in scores)
            first = found[holder][key]
            scores = tuple(scores.get(key) for scores in found)
            rows.append(ScoreRow(first, scores, own[holder].published_for(first)))
        tables.append(ScoreTable(suite, tuple(result.space for result in own), tuple(rows)))
    return tables


def _count_above_chance(cells: Sequence[Cell]) -> dict[str, tuple[int, int, int]]:
    """Count directions whose R@1 lies above chance: as they are, centerd, and all there are."""
    groups = {
        "emergent": [cell for cell in cells if not cell.trained],
        "trained": [cell for cell in cells if cell.trained],
    }
    return {
        name: (
            sum(above_chance(cell.raw[0]) for cell in group),
            sum(above_chance(cell.centerd[0]) for cell in group),
            len(group),
        )
        for name, group in groups.items()
    }


def _farthest_control(cells: Sequence[Cell]) -> float:
    """Return how far R@1 of shuffled pairs is from chance where it is farthest."""
    strays = [abs(cell.shuffled[0].value - cell.shuffled[0].chance) for cell in cells]
    return max(strays, default=0.0)


def _x(share: float) -> float:
    return round(MAP_MARGIN + share * (MAP_WIDTH - 2 * MAP_MARGIN), 1)


def _y(share: float) -> float:
    return round(MAP_HEIGHT - MAP_MARGIN - share * (MAP_HEIGHT - 2 * MAP_MARGIN), 1)


def _name_regions(dots: Sequence[Dot]) -> list[tuple[str, float, float]]:
    """Place the names of classes at their items' middle, the largest first, none over another."""
    placed: list[tuple[str, float, float]] = []
    counts = Counter(dot.item.label for dot in dots if dot.item.label)
    for label, count in counts.most_common():
        if count < 3 or len(placed) == MOST_NAMES:
            break
        own = [dot for dot in dots if dot.item.label == label]
        x, y = _x(float(np.median([d.x for d in own]))), _y(float(np.median([d.y for d in own])))
        free = all(
            abs(x - left) > 4.2 * (len(label) + len(name)) or abs(y - top) > 18
            for name, left, top in placed
        )
        if free:
            placed.append((label, x, y))
    return placed


def _namings(report: Report) -> list[NamingTable]:
    """Show what was taken for what: in the collection, then in the suites."""
    found = []
    for naming in report.namings:
        title = f"{naming.modality}, {naming.set}" if naming.set else naming.modality
        found.append(_show_naming(title, naming.trained, naming.confusion))
    for result in report.results:
        for confusion in result.confusions:
            title = " ".join(dict.fromkeys((result.suite, confusion.task)))
            found.append(_show_naming(f"{title}, {result.space}", None, confusion))
    return found


def _show_naming(title: str, trained: bool | None, confusion: Confusion) -> NamingTable:
    counts_CC = confusion.counts_CC
    count, right = int(counts_CC.sum()), int(np.trace(counts_CC))
    wrong_CC = counts_CC.copy()
    np.fill_diagonal(wrong_CC, 0)
    places = np.argsort(-wrong_CC, axis=None, kind="stable")[:MOST_MISTAKES]
    pairs = zip(*np.unravel_index(places, wrong_CC.shape), strict=True)
    drawn = len(confusion.classes) <= MOST_CLASSES
    return NamingTable(
        title=title,
        trained=trained,
        classes=confusion.classes if drawn else (),
        rows=tuple(map(tuple, counts_CC.tolist())) if drawn else (),
        count=count,
        right=right / count,
        interval=share_interval(right / count, count),
        chance=1 / len(confusion.classes),
        mistakes=tuple(
            (confusion.classes[true], confusion.classes[called], int(wrong_CC[true, called]))
            for true, called in pairs
            if wrong_CC[true, called]
        ),
    )
