"""Write a report as one HTML page that holds its media and fetches nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jinja2
import numpy as np

from openbind.atomic import atomic_path
from openbind.evaluation.collection import CollectionItem
from openbind.evaluation.emergence import Cell, above_chance
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.report.contents import MapPoint, Report
from openbind.evaluation.report.drawings import draw_item, image_url, playable_url
from openbind.evaluation.results import (
    Confusion,
    Published,
    Score,
    SuiteResult,
    group_by_suite,
    unique_scores,
)
from openbind.media.types import plays_as_audio, plays_as_video
from openbind.modalities import MODALITIES, TEXT

SHOWN_SIDE, POINT_SIDE = 160, 96
"""Pixels of thumbnails among the neighbors, and on the map."""
MOST_PLAYED_TOTAL_BYTES = 12_000_000
"""Of all recordings in the page together, as data URLs."""
MAP_WIDTH, MAP_HEIGHT, MAP_MARGIN = 1000, 640, 24
MOST_NAMES = 40
"""Class names on the map."""
MOST_CLASSES = 100
"""Confusion matrices with more classes are too large to show."""
MOST_CONFUSED = 8
"""Confusions listed below a matrix."""


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
    confusions, media = _show_confusions(report), Media()
    sums = [query for query in report.queries if len(query.parts) > 1]
    drawn = [one for result in report.results for one in result.drawn]
    located = [one for result in report.results for one in result.located]
    headings = (
        ("neighbors", "Nearest neighbors", report.queries),
        ("sums", "Sums of embeddings", sums),
        ("imagined", "Imagined images", report.imagined),
        ("drawn", "Judged images", drawn),
        ("located", "Where things are", located),
        ("confusions", "Zero-shot classification", confusions),
    )
    html = environment.get_template("report.html.j2").render(
        report=report,
        media=media,
        cells={(cell.query, cell.target): cell for cell in report.cells},
        counts=_count_above_chance(report.cells),
        control=_farthest_control(report.cells),
        tables=_tabulate(report.results),
        spots=[(_x(point.x), _y(point.y)) for point in report.points],
        names=_name_regions(report.points),
        inherited=_find_inherited(report),
        confusions=confusions,
        drawn=drawn,
        located=located,
        image_url=image_url,
        sums=sums,
        sections=[(name, heading) for name, heading, shown in headings if shown],
        number=format_number,
        above_chance=above_chance,
        colors={modality: number for number, modality in enumerate(report.counts)},
        size=(MAP_WIDTH, MAP_HEIGHT),
        point_side=POINT_SIDE,
        shown_side=SHOWN_SIDE,
    )
    with atomic_path(target) as temporary:
        temporary.write_text(html, encoding="utf-8")


@dataclass
class Media:
    """Thumbnails and players of items, each made once.

    Attributes:
        played: recordings by number; the page holds each once, wherever it is shown.
    """

    played: list[str] = field(default_factory=list)
    _images: dict[tuple[Path | None, str, int], str | None] = field(default_factory=dict)
    _numbers: dict[Path | None, int | None] = field(default_factory=dict)

    def kind(
        self, item: CollectionItem, modality: str
    ) -> Literal["quote", "image", "sound", "video"]:
        """Return how an item is shown."""
        if MODALITIES.get(modality).thumbnail is None:
            return "quote"
        if item.path is None:
            return "quote"
        if plays_as_audio(item.path):
            return "sound"
        return "video" if plays_as_video(item.path) else "image"

    def image(self, item: CollectionItem, modality: str, side: int) -> str | None:
        """Return an item's thumbnail; None for texts."""
        key = (item.path, modality, side)
        if key not in self._images:
            self._images[key] = draw_item(*key)
        return self._images[key]

    def player(self, item: CollectionItem) -> int | None:
        """Return the number of an item's recording; None for others and large ones."""
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
    """One score of one or several spaces.

    Args:
        first: the first space's that has it, for task, metric and chance.
        scores: one for each space; None where it wasn't measured.
        published: a paper's number, if there is one.
    """

    first: Score
    scores: tuple[Score | None, ...]
    published: Published | None


@dataclass(frozen=True)
class ScoreTable:
    """The results of one suite, a column per space."""

    suite: str
    spaces: tuple[str, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, kw_only=True)
class ConfusionTable:
    """A confusion matrix; without rows where it is too large to show."""

    title: str
    trained: bool | None
    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    count: int
    accuracy: float
    interval: tuple[float, float]
    chance: float
    confused: tuple[tuple[str, str, int], ...]


def format_number(value: float, metric: str = "R@1") -> str:
    """Format a fraction in percent, and a rank unchanged."""
    return f"{value:.1f}" if "rank" in metric else f"{100 * value:.1f}"


def _tabulate(results: Sequence[SuiteResult]) -> list[ScoreTable]:
    tables = []
    for suite, own in group_by_suite(results).items():
        rows = tuple(
            ScoreRow(
                score,
                tuple(result.score_of(score.task, score.metric) for result in own),
                next(filter(None, (result.published_for(score) for result in own)), None),
            )
            for score in unique_scores(own)
        )
        tables.append(ScoreTable(suite, tuple(result.space for result in own), rows))
    return tables


def _count_above_chance(cells: Sequence[Cell]) -> dict[str, tuple[int, int, int]]:
    """Count directions with R@1 above chance: raw, mean-centered, and all directions."""
    groups = {
        "emergent": [cell for cell in cells if not cell.trained],
        "trained": [cell for cell in cells if cell.trained],
    }
    return {
        name: (
            sum(above_chance(cell.raw[0]) for cell in group),
            sum(above_chance(cell.centered[0]) for cell in group),
            len(group),
        )
        for name, group in groups.items()
    }


def _farthest_control(cells: Sequence[Cell]) -> float:
    """Return the largest distance of the control's R@1 from chance."""
    distances = [abs(cell.shuffled[0].value - cell.shuffled[0].chance) for cell in cells]
    return max(distances, default=0.0)


def _find_inherited(report: Report) -> frozenset[tuple[str, str]]:
    """Return the trained pairs that the card doesn't name: theirs is the tower of one that it does.

    Videos go through the tower of images, for instance, and were trained as images only.
    """
    named = {frozenset(pair) for pair in report.card.trained_pairs}
    return frozenset(pair for pair in report.trained_pairs if frozenset(pair) not in named)


def _x(fraction: float) -> float:
    return round(MAP_MARGIN + fraction * (MAP_WIDTH - 2 * MAP_MARGIN), 1)


def _y(fraction: float) -> float:
    return round(MAP_HEIGHT - MAP_MARGIN - fraction * (MAP_HEIGHT - 2 * MAP_MARGIN), 1)


def _name_regions(points: Sequence[MapPoint]) -> list[tuple[str, float, float]]:
    """Place class names at their innermost items, large classes first, without overlaps."""
    placed: list[tuple[str, float, float]] = []
    counts = Counter(point.item.label for point in points if point.item.label)
    for label, count in counts.most_common():
        if count < 3 or len(placed) == MOST_NAMES:
            break
        own_N2 = np.array([(p.x, p.y) for p in points if p.item.label == label])
        distances_NN = np.linalg.norm(own_N2[:, None] - own_N2[None], axis=2)
        left, up = own_N2[distances_NN.sum(axis=1).argmin()]
        x, y = _x(float(left)), _y(float(up))
        free = all(
            abs(x - other) > 4.2 * (len(label) + len(name)) or abs(y - top) > 18
            for name, other, top in placed
        )
        if free:
            placed.append((label, x, y))
    return placed


def _show_confusions(report: Report) -> list[ConfusionTable]:
    """Return the confusion matrices of all results."""
    return [
        _show_confusion(
            f"{result.suite}, {confusion.task}, {result.space}",
            (confusion.modality, TEXT) in report.trained_pairs
            if result.space == report.space
            else None,
            confusion,
        )
        for result in report.results
        for confusion in result.confusions
    ]


def _show_confusion(title: str, trained: bool | None, confusion: Confusion) -> ConfusionTable:
    counts_KK = confusion.counts_KK
    count, right = int(counts_KK.sum()), int(np.trace(counts_KK))
    wrong_KK = counts_KK.copy()
    np.fill_diagonal(wrong_KK, 0)
    order = np.argsort(-wrong_KK, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = zip(*np.unravel_index(order, wrong_KK.shape), strict=True)
    drawn = len(confusion.classes) <= MOST_CLASSES
    return ConfusionTable(
        title=title,
        trained=trained,
        classes=confusion.classes if drawn else (),
        rows=tuple(map(tuple, counts_KK.tolist())) if drawn else (),
        count=count,
        accuracy=right / count,
        interval=fraction_interval(right / count, count),
        chance=1 / len(confusion.classes),
        confused=tuple(
            (confusion.classes[true], confusion.classes[predicted], int(wrong_KK[true, predicted]))
            for true, predicted in pairs
            if wrong_KK[true, predicted]
        ),
    )
