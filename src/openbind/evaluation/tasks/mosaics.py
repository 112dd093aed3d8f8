"""The pointing game: images in a mosaic, a query of one of them, does the hottest point hit it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from openbind.embedding.items import Item
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.results import Located, Score, TaskResult
from openbind.evaluation.tasks.task import Side, Task
from openbind.localisation.heat import Localisation
from openbind.localisation.overlay import draw_overlay
from openbind.media.image import read_image
from openbind.space.locating import OpenImage

TILE = 260
"""Pixels per side of an image in a mosaic, whose middle square is taken."""
SHOWN, SHOWN_SIDE = 3, 240
"""Maps of each modality that a report shows, and their pixels per side."""


@dataclass(frozen=True, kw_only=True)
class Queries(Side):
    """Queries of one modality.

    Args:
        keys: what each query is of, as `Mosaics.keys`.
    """

    keys: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Mosaics(Task):
    """Mosaics of images that show different things.

    Args:
        keys: what each image shows.
        queries: modality → queries of the same things; a query that is itself in the mosaic is
            not asked.
        side: images per row and column.
        count: of mosaics.
        method: of `Space.locate`.
        seed: of the draw.
    """

    keys: Sequence[str]
    queries: Mapping[str, Queries]
    side: int = 2
    count: int = 24
    method: str = "auto"
    seed: int = 0

    per_item: ClassVar[tuple[str, ...]] = ("items", "keys")

    def measure(self, embedder: Embedder) -> TaskResult:
        """Point for each image of each mosaic, and with as many queries of what isn't in it."""
        asked = {name: _Asked(own, embedder) for name, own in self._askable(embedder).items()}
        tallies = {name: _Tally(self.side) for name in asked}
        generator = np.random.default_rng(self.seed)
        for _ in range(self.count):
            chosen = self._draw(generator)
            mosaic = compose([self.items[index] for index in chosen], self.side)
            opened = OpenImage(embedder.space, mosaic, self.modality, self.method)
            keys = [self.keys[index] for index in chosen]
            excluded = [self.items[index] for index in chosen]
            for name, own in asked.items():
                _ask(opened, own, keys, excluded, tallies[name], generator)
                tallies[name].show(mosaic, keys)
        scores = [
            score
            for name, tally in tallies.items()
            for score in tally.scores(f"{name} in {self.name}")
        ]
        maps = [one for name, tally in tallies.items() for one in tally.maps(name)]
        return TaskResult(scores=scores, located=maps)

    def _askable(self, embedder: Embedder) -> dict[str, Queries]:
        return {
            name: own for name, own in self.queries.items() if name in embedder.space.modalities
        }

    def _draw(self, generator: np.random.Generator) -> list[int]:
        """Draw images of different things."""
        keys = generator.permutation(sorted(set(self.keys)))[: self.side**2]
        return [
            int(generator.choice([i for i, own in enumerate(self.keys) if own == key]))
            for key in keys
        ]


class _Asked:
    """Queries with their vectors; those that can't be embedded are dropped."""

    def __init__(self, queries: Queries, embedder: Embedder) -> None:
        vectors_NE = embedder.embed(queries.modality, queries.items, queries.settings).vectors_NE
        self.by_key: dict[str, list[tuple[Item, np.ndarray]]] = {}
        for key, item, vector_E in zip(queries.keys, queries.items, vectors_NE, strict=True):
            if key and np.isfinite(vector_E).all():
                self.by_key.setdefault(key, []).append((item, vector_E))

    def draw(
        self, key: str, excluded: Sequence[Item], generator: np.random.Generator
    ) -> np.ndarray | None:
        """Return the vector of a query of a thing; None if there is no other item."""
        found = [vector for item, vector in self.by_key.get(key, ()) if item not in excluded]
        return found[int(generator.integers(len(found)))] if found else None


def _ask(
    opened: OpenImage,
    asked: _Asked,
    keys: Sequence[str],
    excluded: Sequence[Item],
    tally: _Tally,
    generator: np.random.Generator,
) -> None:
    absent = [key for key in asked.by_key if key not in keys]
    for place, key in enumerate(keys):
        there = asked.draw(key, excluded, generator)
        if there is None or not absent:
            continue
        other = asked.draw(absent[int(generator.integers(len(absent)))], (), generator)
        assert other is not None
        tally.add(place, opened.find(there), opened.find(other))


@dataclass
class _Tally:
    """What the queries of one modality have found.

    Attributes:
        shown: the first maps, what was asked, and whether it was found.
        last: the place that was asked for last, and what was found.
    """

    side: int
    hits: list[bool] = field(default_factory=list)
    control: list[bool] = field(default_factory=list)
    present: list[float] = field(default_factory=list)
    absent: list[float] = field(default_factory=list)
    shown: list[tuple[Image.Image, str, bool]] = field(default_factory=list)
    last: tuple[int, Localisation] | None = None

    def add(self, place: int, there: Localisation, other: Localisation) -> None:
        """Note where a query of an image and one of something else point."""
        self.hits.append(self._place(there) == place)
        self.control.append(self._place(other) == place)
        self.present.append(_evidence(there))
        self.absent.append(_evidence(other))
        self.last = (place, there)

    def show(self, mosaic: Image.Image, keys: Sequence[str]) -> None:
        """Keep the map of the last query, if there are few yet."""
        if self.last is None or len(self.shown) == SHOWN:
            return
        place, found = self.last
        small = mosaic.resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC)
        self.shown.append((draw_overlay(small, found), keys[place], self.hits[-1]))
        self.last = None

    def maps(self, modality: str) -> list[Located]:
        """Return the maps that are shown."""
        return [
            Located(modality=modality, label=label, image=image, hit=hit)
            for image, label, hit in self.shown
        ]

    def _place(self, found: Localisation) -> int:
        (x, y), (width, height) = found.peak, found.size
        return y * self.side // height * self.side + x * self.side // width

    def scores(self, task: str) -> list[Score]:
        """Return pointing, its control with queries of other things, and rejection."""
        if not self.hits:
            return []
        count, chance = len(self.hits), 1 / self.side**2
        shares = {"pointing": self.hits, "pointing, shuffled": self.control}
        found = [
            Score(
                task=task,
                metric=metric,
                value=float(np.mean(values)),
                chance=chance,
                interval=fraction_interval(float(np.mean(values)), count),
                count=count,
            )
            for metric, values in shares.items()
        ]
        value = area_under_curve(np.array(self.present), np.array(self.absent))
        rejection = Score(task=task, metric="rejection AUC", value=value, chance=0.5, count=count)
        return [*found, rejection]


def _evidence(found: Localisation) -> float:
    """Return what `present` judges by; where no threshold is known, the hottest cell."""
    return float(found.heat.max()) if found.margin is None else found.margin


def area_under_curve(positive_N: np.ndarray, negative_M: np.ndarray) -> float:
    """Return how often a positive is above a negative; ties count half."""
    above_NM = positive_N[:, None] > negative_M
    return float(above_NM.mean() + (positive_N[:, None] == negative_M).mean() / 2)


def compose(images: Sequence[Any], side: int) -> Image.Image:
    """Return a mosaic of the middle squares of images, row by row.

    Raises:
        InputError: an image can't be read.
    """
    mosaic = Image.new("RGB", (side * TILE, side * TILE))
    for place, item in enumerate(images):
        image = read_image(item, TILE)
        short = min(image.size)
        left, top = ((length - short) // 2 for length in image.size)
        square = image.crop((left, top, left + short, top + short))
        tile = square.resize((TILE, TILE), Image.Resampling.BICUBIC)
        mosaic.paste(tile, (place % side * TILE, place // side * TILE))
    return mosaic
