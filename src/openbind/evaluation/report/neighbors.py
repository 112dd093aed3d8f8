"""Nearest neighbors of queries in every other modality."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from openbind.evaluation.collection import CollectionItem, EmbeddedItems
from openbind.evaluation.report.contents import Match, Neighbor, Neighbors, Query, QueryPart

QUERIES = 3
"""Random queries of each modality."""
NEIGHBORS = 3
"""Neighbors of a random query in each other modality."""


def sample_queries(
    embedded: Sequence[EmbeddedItems],
    trained_pairs: Collection[tuple[str, str]],
    generator: np.random.Generator,
) -> tuple[Query, ...]:
    """Draw a few items of every modality and find their neighbors in the others.

    Args:
        embedded: one for each modality; items of all data sets are searched.
        trained_pairs: modalities that were trained together, in both orders.
        generator: draws the items.
    """
    queries = []
    for some in embedded:
        others = [other for other in embedded if other is not some]
        for index in _draw(some, others, generator):
            item, vector_E = some.items[index], some.vectors_NE[index]
            neighbors = tuple(
                Neighbors(
                    modality=other.modality,
                    trained=(some.modality, other.modality) in trained_pairs,
                    found=find_neighbors(vector_E, other, NEIGHBORS, match_item(item)),
                )
                for other in others
            )
            part = QueryPart(modality=some.modality, item=item)
            queries.append(Query(title=item.title, parts=(part,), neighbors=neighbors))
    return tuple(queries)


def find_neighbors(
    query_E: np.ndarray,
    some: EmbeddedItems,
    count: int,
    match: Callable[[CollectionItem], Match | None],
    skip: Collection[CollectionItem] = (),
) -> tuple[Neighbor, ...]:
    """Return the nearest items of a modality, items of equal title and file once.

    Args:
        query_E: unit vector.
        some: the items to search.
        count: how many to return.
        match: tells why an item counts as right.
        skip: items not to return.
    """
    cosines_N = some.vectors_NE @ query_E
    found: dict[tuple[str, object], Neighbor] = {}
    for index in np.argsort(-cosines_N, kind="stable"):
        item = some.items[index]
        if len(found) == count:
            break
        if item not in skip:
            neighbor = Neighbor(item=item, cosine=float(cosines_N[index]), match=match(item))
            found.setdefault((item.title, item.path), neighbor)
    return tuple(found.values())


def match_item(query: CollectionItem) -> Callable[[CollectionItem], Match | None]:
    """Return a function that tells whether an item has the query's scene, or else its class."""

    def match(item: CollectionItem) -> Match | None:
        if query.pair and query.pair == item.pair:
            return "scene"
        return "class" if query.label and query.label == item.label else None

    return match


def _draw(
    some: EmbeddedItems, others: Sequence[EmbeddedItems], generator: np.random.Generator
) -> list[int]:
    """Draw items: those with a match in another modality first, of different classes."""
    targets = [target for other in others for target in other.items]
    scenes, labels = ({target.pair for target in targets}, {target.label for target in targets})

    def order(index: int) -> tuple[bool, bool]:
        item = some.items[index]
        matched = (item.pair and item.pair in scenes) or (item.label and item.label in labels)
        return not matched, index not in firsts

    drawn = [int(index) for index in generator.permutation(len(some.items))]
    # The first that was drawn of each class comes before the second of any.
    firsts = {some.items[index].label: index for index in reversed(drawn)}.values()
    return sorted(drawn, key=order)[:QUERIES]
