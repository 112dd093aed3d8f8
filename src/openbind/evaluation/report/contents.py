"""The contents of a report as plain values: no file is opened, nothing is drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from openbind.evaluation.collection import CollectionItem
from openbind.evaluation.emergence import Cell
from openbind.evaluation.results import SuiteResult
from openbind.evaluation.summary import to_plain
from openbind.space.card import Card

Match = Literal["scene", "class", "sum"]
"""Why a neighbor counts as right: same scene, same class, or expected of a sum of embeddings."""


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """One item on the map.

    Args:
        item: the item.
        modality: of it.
        x, y: position in 0..1, y upwards.
    """

    item: CollectionItem
    modality: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Neighbor:
    """An item near a query.

    Args:
        item: the item.
        cosine: with the query.
        match: why it counts as right; None if it doesn't.
    """

    item: CollectionItem
    cosine: float
    match: Match | None


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """The nearest items of one modality.

    Args:
        modality: of the items.
        trained: whether it was trained together with all of the query's modalities.
        found: the best first.
    """

    modality: str
    trained: bool
    found: tuple[Neighbor, ...]


@dataclass(frozen=True, kw_only=True)
class QueryPart:
    """An item of a query.

    Args:
        modality: of the item.
        item: the item; a text needn't be one of the collection.
        weight: in the sum.
    """

    modality: str
    item: CollectionItem
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Query:
    """An item, or a weighted sum of some, and its nearest neighbors.

    Args:
        title: readable.
        parts: one, or several for a sum of embeddings.
        neighbors: for each searched modality.
    """

    title: str
    parts: tuple[QueryPart, ...]
    neighbors: tuple[Neighbors, ...]


@dataclass(frozen=True, kw_only=True)
class Imagined:
    """An item, and images that were drawn of it.

    Args:
        item: from a held-out set.
        modality: of the item.
        images: data URLs of PNG files.
        target: modality of the images.
        nearest: the image of the collection that is nearest to the first of them.
        learned: name and data URL of the nearest image that the decoder learned from; None if it
            doesn't have them.
    """

    item: CollectionItem
    modality: str
    images: tuple[str, ...]
    target: str
    nearest: Neighbor
    learned: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the page shows.

    Args:
        title: of the page.
        space: name of the space whose embeddings are shown.
        dim: its dimensions.
        card: its card.
        counts: modality → number of items.
        warnings: what limits the numbers, a sentence each.
        results: of suites, of this space and of those it is compared with.
        trained_pairs: pairs of modalities that were trained together, in both orders.
        cells: every modality searched by every other.
        points: all items on a plane, each modality mean-centered; empty without scikit-learn.
        queries: with their nearest neighbors.
        selected: whether the queries were selected; otherwise they are drawn at random.
        credited: items whose files are shown, with author, license and source.
        imagined: items that weren't trained on, and what is drawn of them.
    """

    title: str
    space: str
    dim: int
    card: Card
    counts: dict[str, int]
    warnings: tuple[str, ...]
    results: tuple[SuiteResult, ...]
    trained_pairs: frozenset[tuple[str, str]]
    cells: tuple[Cell, ...]
    points: tuple[MapPoint, ...]
    queries: tuple[Query, ...]
    selected: bool
    credited: tuple[CollectionItem, ...]
    imagined: tuple[Imagined, ...] = ()


def plain_report(report: Report) -> dict[str, Any]:
    """Return the numbers of a report as plain values for JSON, without map and neighbors."""
    return {
        "title": report.title,
        "space": report.space,
        "dim": report.dim,
        "trained_pairs": [list(pair) for pair in report.card.trained_pairs],
        "modalities": report.counts,
        "warnings": list(report.warnings),
        "suites": [to_plain(result) for result in report.results],
        "emergence": [_plain_cell(cell) for cell in report.cells],
        "unseen_classes": [
            {**dataclasses.asdict(measurement), "source": "model card"}
            for measurement in report.card.unseen
        ],
    }


def _plain_cell(cell: Cell) -> dict[str, Any]:
    rows = zip(cell.raw, cell.centered, cell.shuffled, strict=True)
    return {
        "query": cell.query,
        "target": cell.target,
        "trained": cell.trained,
        "pools": [dataclasses.asdict(pool) for pool in cell.pools],
        "queries": cell.count,
        "gap": cell.gap,
        "hubness": cell.hubness,
        "metrics": {
            raw.metric: {
                "value": raw.value,
                "interval": raw.interval,
                "centered": centered.value,
                "centered_interval": centered.interval,
                "shuffled": shuffled.value,
                "chance": raw.chance,
            }
            for raw, centered, shuffled in rows
        },
    }
