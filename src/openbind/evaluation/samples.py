"""The sample collection that ships, and the selected queries of `openbind demo`."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from openbind.configs import from_dict
from openbind.evaluation.collection import (
    CollectionItem,
    Credit,
    EmbeddedItems,
    ItemSet,
    SetSide,
)
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.emergence import find_trained_pairs
from openbind.evaluation.report.contents import Match, Neighbors, Query, QueryPart
from openbind.evaluation.report.neighbors import find_neighbors, match_item
from openbind.space.vectors import combine

NEIGHBORS = 5
"""Nearest neighbors of a query."""
MORE_QUERIES = 4
"""Items of a set of the user's that are queries, for each direction."""
TITLE = "samples"


@dataclass(frozen=True, kw_only=True)
class SampleItem:
    """One row of `samples.csv`.

    Args:
        path: file, relative to the collection's folder; empty for a caption.
        modality: what it is embedded as.
        concept: its class, in one vocabulary for all modalities.
        title: its title, or the caption.
        author, license, source, sha256: where it comes from and how it may be used.
    """

    path: str
    modality: str
    concept: str
    title: str
    author: str
    license: str
    source: str
    sha256: str

    @property
    def key(self) -> str:
        """Its path, or the caption."""
        return self.path or self.title

    def content(self, folder: Path) -> Any:
        """Return what `space.encode` takes: the path of the file, or the caption."""
        return folder / self.path if self.path else self.title


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Queries of one modality that search another.

    Args:
        source, target: the modalities.
        queries: paths from the samples' folder, or texts.
    """

    source: str
    target: str
    queries: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """A weighted sum of embeddings that searches a modality.

    Args:
        title: readable.
        parts: (modality, path or text, weight).
        target: the searched modality.
        expected: paths of items that contain all parts.
    """

    title: str
    parts: tuple[tuple[str, str, float], ...]
    target: str
    expected: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DrawnPart:
    """Which items of a demo are drawn.

    Args:
        set: title of a held-out set.
        modality: of its items.
        target: modality of the images.
        labels: classes; the first item of each is drawn.
    """

    set: str
    modality: str
    target: str
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the demo shows.

    Args:
        sets: titles of held-out sets that are shown beside the samples.
        retrieval: cross-modal queries.
        arithmetic: sums of embeddings.
        drawn: items of a held-out set that the space's decoder draws, if it has one.
    """

    sets: tuple[str, ...]
    retrieval: tuple[Retrieval, ...]
    arithmetic: tuple[Arithmetic, ...]
    drawn: DrawnPart | None = None

    def extend(self, sets: Sequence[ItemSet]) -> Script:
        """Return the script with the first items of more sets as further queries."""
        return replace(self, retrieval=tuple(_add_queries(part, sets) for part in self.retrieval))


def samples_folder() -> Path:
    """Return the folder of the collection."""
    return Path(str(files("openbind"))) / "assets" / "samples"


def read_samples(folder: Path) -> list[SampleItem]:
    """Return the rows of a collection's table."""
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        return [from_dict(SampleItem, row) for row in csv.DictReader(file)]


def read_sample_set(folder: Path) -> ItemSet:
    """Return a collection as a set of items."""
    sides: dict[str, tuple[CollectionItem, ...]] = {}
    for row in read_samples(folder):
        item = CollectionItem(
            title=row.title,
            path=(folder / row.path).resolve() if row.path else None,
            label=row.concept,
            set=TITLE,
            credit=Credit(author=row.author, license=row.license, source=row.source)
            if row.path
            else None,
        )
        sides[row.modality] = (*sides.get(row.modality, ()), item)
    return ItemSet(
        title=TITLE, sides={modality: SetSide(items=items) for modality, items in sides.items()}
    )


def read_script(folder: Path) -> Script:
    """Return the script of a collection's demo."""
    return from_dict(Script, json.loads((folder / "demo.json").read_text(encoding="utf-8")))


def run_script(
    embedder: Embedder, embedded: Sequence[EmbeddedItems], script: Script, folder: Path
) -> list[Query]:
    """Return the script's queries with their nearest neighbors.

    Args:
        embedder: embeds texts that are no items.
        embedded: the items of each modality; queries of other modalities are skipped.
        script: the queries.
        folder: that the script's paths are relative to.
    """
    items = {some.modality: some for some in embedded}
    trained = find_trained_pairs(embedder.space)
    queries = []
    for direction in script.retrieval:
        if {direction.source, direction.target} <= items.keys():
            for key in direction.queries:
                item, vector_E = _find(embedder, items[direction.source], key, folder)
                near = Neighbors(
                    modality=direction.target,
                    trained=(direction.source, direction.target) in trained,
                    found=find_neighbors(
                        vector_E, items[direction.target], NEIGHBORS, match_item(item)
                    ),
                )
                part = QueryPart(modality=direction.source, item=item)
                queries.append(Query(title=item.title, parts=(part,), neighbors=(near,)))
    for arithmetic in script.arithmetic:
        if {arithmetic.target, *(name for name, *_ in arithmetic.parts)} <= items.keys():
            queries.append(_add(embedder, items, arithmetic, folder))
    return queries


def _add(
    embedder: Embedder, items: dict[str, EmbeddedItems], sum_: Arithmetic, folder: Path
) -> Query:
    found = [_find(embedder, items[name], key, folder) for name, key, _ in sum_.parts]
    weights = [weight for *_, weight in sum_.parts]
    query_E = combine(
        [(vector_E, weight) for (_, vector_E), weight in zip(found, weights, strict=True)]
    )
    expected = {(folder / path).resolve() for path in sum_.expected}

    def match(item: CollectionItem) -> Match | None:
        return "sum" if item.path in expected else None

    trained = find_trained_pairs(embedder.space)
    names = [name for name, *_ in sum_.parts]
    near = Neighbors(
        modality=sum_.target,
        trained=all(name == sum_.target or (name, sum_.target) in trained for name in names),
        # The parts themselves are not returned: they would be nearest to their sum.
        found=find_neighbors(
            query_E, items[sum_.target], NEIGHBORS, match, [item for item, _ in found]
        ),
    )
    parts = tuple(
        QueryPart(modality=name, item=item, weight=weight)
        for name, (item, _), weight in zip(names, found, weights, strict=True)
    )
    return Query(title=sum_.title, parts=parts, neighbors=(near,))


def _find(
    embedder: Embedder, some: EmbeddedItems, key: str, folder: Path
) -> tuple[CollectionItem, np.ndarray]:
    """Return an item and its vector; a key that is no item's is embedded as a text."""
    path = (folder / key).resolve()
    for item, vector_E in zip(some.items, some.vectors_NE, strict=True):
        if item.path == path or (item.path is None and item.title == key):
            return item, vector_E
    return CollectionItem(title=key), embedder.embed(some.modality, [key]).vectors_NE[0]


def _add_queries(part: Retrieval, sets: Sequence[ItemSet]) -> Retrieval:
    queries = [
        str(item.path)
        for held in sets
        if {part.source, part.target} <= held.sides.keys()
        for item in held.sides[part.source].items[:MORE_QUERIES]
        if item.path is not None
    ]
    return replace(part, queries=(*part.queries, *queries))
