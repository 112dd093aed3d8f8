"""Items drawn at random, and what is nearest to them in every other modality."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from openbind.evaluation.collection import EmbeddedItems, Item
from openbind.evaluation.report.contents import Answer, Found, Match, Query

QUERIES = 3
"""Items of each modality whose neighbors are shown."""
BEST = 3
"""Neighbors shown of each other modality."""


def ask(
    embedded: Sequence[EmbeddedItems],
    trained_pairs: Collection[tuple[str, str]],
    generator: np.random.Generator,
) -> tuple[Query, ...]:
    """Draw a few items of every modality and find what is nearest to them in the others.

    Args:
        embedded: one for each modality; items of all data sets are searched.
        trained_pairs: modalities that were trained together, in both orders.
        generator: draws the items.
    """
    queries = []
    for some in embedded:
        others = [other for other in embedded if other is not some]
        for place in _draw(some, others, generator):
            item, vector_E = some.items[place], some.vectors_NE[place]
            found = tuple(
                Answer(
                    modality=other.modality,
                    trained=(some.modality, other.modality) in trained_pairs,
                    found=_nearest(item, vector_E, other),
                )
                for other in others
            )
            queries.append(Query(modality=some.modality, item=item, answers=found))
    return tuple(queries)


def _draw(
    some: EmbeddedItems, others: Sequence[EmbeddedItems], generator: np.random.Generator
) -> list[int]:
    """Draw items: those with an answer in another modality first, of different classes."""
    targets = [target for other in others for target in other.items]
    scenes, labels = ({target.pair for target in targets}, {target.label for target in targets})

    def order(place: int) -> tuple[bool, bool]:
        item = some.items[place]
        answered = (item.pair and item.pair in scenes) or (item.label and item.label in labels)
        return not answered, place not in firsts

    drawn = [int(place) for place in generator.permutation(len(some.items))]
    # The first that was drawn of each class comes before the second of any.
    firsts = {some.items[place].label: place for place in reversed(drawn)}.values()
    return sorted(drawn, key=order)[:QUERIES]


def _nearest(item: Item, vector_E: np.ndarray, other: EmbeddedItems) -> tuple[Found, ...]:
    """Find the best of another modality, each title and file once."""
    cosines_K = other.vectors_NE @ vector_E
    found: dict[tuple[str, str], Found] = {}
    for place in np.argsort(-cosines_K, kind="stable"):
        target = other.items[place]
        if len(found) == BEST:
            break
        found.setdefault(
            (target.title, target.path),
            Found(item=target, cosine=float(cosines_K[place]), match=_match(item, target)),
        )
    return tuple(found.values())


def _match(item: Item, target: Item) -> Match | None:
    if item.pair and item.pair == target.pair:
        return "scene"
    return "class" if item.label and item.label == target.label else None
