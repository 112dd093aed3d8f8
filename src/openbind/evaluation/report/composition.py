"""A space, its embeddings and the suites' results → what a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.emergence import center, measure_emergence
from openbind.evaluation.report.atlas import project
from openbind.evaluation.report.contents import Dot, Kind, Report
from openbind.evaluation.report.namings import name_by_words
from openbind.evaluation.report.neighbors import ask
from openbind.space.space import Space

if TYPE_CHECKING:
    from openbind.evaluation.run import SuiteResult

MOST_DOTS = 300
"""Items of a modality on the map; more are drawn from at random."""


def compose_report(
    space: Space,
    embedded: Sequence[EmbeddedItems],
    results: Sequence[SuiteResult] = (),
    *,
    title: str,
    warnings: Sequence[str] = (),
    seed: int = 0,
) -> Report:
    """Measure what aligns with what, and put it beside the suites' results.

    Args:
        space: whose vectors were embedded.
        embedded: two modalities or more, one for each.
        results: of suites, of this space and others; a column each.
        title: of the report.
        warnings: to be read before the numbers, beside those of the results.
        seed: decides the control, the map's layout, and which items are shown.

    Raises:
        InputError: a modality comes twice, or there are too few items for a map.
        MissingExtraError: scikit-learn isn't there.
    """
    generator = np.random.default_rng(seed)
    trained = find_trained_pairs(space)
    return Report(
        title=title,
        space=space.name,
        dim=space.dim,
        card=space.card,
        kinds=tuple(Kind(modality=some.modality, count=len(some.items)) for some in embedded),
        warnings=(*warnings, *_warn_of_sets(space, embedded), *_warn_of_results(results)),
        results=tuple(results),
        cells=measure_emergence(embedded, trained, generator),
        atlas=_lay_out(embedded, generator, seed),
        namings=name_by_words(embedded, trained),
        queries=ask(embedded, trained, generator),
    )


def find_trained_pairs(space: Space) -> frozenset[tuple[str, str]]:
    """Name the pairs of modalities that were trained together, in both orders.

    Modalities that share a tower count as one: what was trained with images was trained with
    videos, and images and videos themselves are one network's.
    """
    tower = {name: binding.tower for name, binding in space.config.modalities.items()}
    towers = {frozenset((tower.get(a, a), tower.get(b, b))) for a, b in space.card.trained_pairs}
    together = [
        (a, b)
        for a, b in combinations(tower, 2)
        if tower[a] == tower[b] or frozenset((tower[a], tower[b])) in towers
    ]
    return frozenset([*together, *((b, a) for a, b in together)])


def _warn_of_sets(space: Space, embedded: Sequence[EmbeddedItems]) -> list[str]:
    names = sorted({name for some in embedded for name in some.sets if name})
    return [
        f"{space.name} was trained on {source.name}, and is measured on {name}"
        for name in names
        for source in space.card.sources
        if name.lower() in source.name.lower()
    ]


def _warn_of_results(results: Sequence[SuiteResult]) -> list[str]:
    found = []
    for result in results:
        found += [
            f"{result.space} was trained on {name}, which shares items with {result.suite}: its "
            "numbers are no measure of what it makes of the unseen"
            for name in result.overlaps
        ]
        found += [
            f"{result.suite}, {result.space}: {task} was not asked: {reason}"
            for task, reason in result.skipped.items()
        ]
        if result.excluded:
            first, reason = next(iter(result.excluded.items()))
            found.append(
                f"{result.suite}, {result.space}: {len(result.excluded)} files could not be used; "
                f"the first is {first}: {reason}"
            )
    return found


def _lay_out(
    embedded: Sequence[EmbeddedItems], generator: np.random.Generator, seed: int
) -> tuple[Dot, ...]:
    """Place the items of all modalities; each one's mean is taken off, or it would be an island."""
    kept = [np.sort(generator.permutation(len(some.items))[:MOST_DOTS]) for some in embedded]
    centerd = [center(some.vectors_NE)[places] for some, places in zip(embedded, kept, strict=True)]
    items = [
        (some.modality, some.items[place])
        for some, places in zip(embedded, kept, strict=True)
        for place in places
    ]
    places_N2 = project(np.concatenate(centerd), seed)
    return tuple(
        Dot(item=item, modality=modality, x=float(x), y=float(y))
        for (modality, item), (x, y) in zip(items, places_N2, strict=True)
    )
