"""Compose a report from a space, its embeddings and results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openbind.errors import MissingExtraError
from openbind.evaluation.builtin import BuiltIn
from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.contamination import match_sources
from openbind.evaluation.emergence import find_trained_pairs
from openbind.evaluation.projection import center, project
from openbind.evaluation.report.contents import MapPoint, Query, Report
from openbind.evaluation.report.neighbors import sample_queries
from openbind.evaluation.results import SuiteResult
from openbind.space.space import Space

MOST_POINTS = 300
"""Items of a modality on the map; more are sampled."""


def compose_report(
    space: Space,
    measured: BuiltIn,
    results: Sequence[SuiteResult] = (),
    *,
    title: str,
    warnings: Sequence[str] = (),
    queries: Sequence[Query] | None = None,
    seed: int = 0,
) -> Report:
    """Compose a report.

    Args:
        space: whose vectors are shown.
        measured: its items, vectors and alignment.
        results: of suites, of this space and others; a column each.
        title: of the report.
        warnings: shown first, before those about the results.
        queries: with their neighbors; None draws some at random.
        seed: of the map's layout and of random queries.

    Raises:
        InputError: there are too few items for a map.
    """
    embedded, trained = measured.embedded, find_trained_pairs(space)
    generator = np.random.default_rng(seed)
    notes = [*warnings, *measured.warnings, *_warn_of_sets(space, embedded, results)]
    points: tuple[MapPoint, ...] = ()
    try:
        points = _lay_out(embedded, generator, seed)
    except MissingExtraError as error:
        notes.append(str(error))
    return Report(
        title=title,
        space=space.name,
        dim=space.dim,
        card=space.card,
        counts={some.modality: len(some.items) for some in embedded},
        warnings=(*notes, *(note for result in results for note in warn_of_result(result))),
        results=tuple(results),
        trained_pairs=trained,
        cells=measured.cells,
        points=points,
        queries=sample_queries(embedded, trained, generator) if queries is None else (*queries,),
        selected=queries is not None,
        credited=tuple(item for some in embedded for item in some.items if item.credit),
    )


def warn_of_result(result: SuiteResult) -> list[str]:
    """Return what limits the numbers of a result, a sentence each."""
    notes = [
        f"{result.space} was trained on {name}, which shares items with {result.suite}: its "
        "numbers don't measure generalization to unseen data"
        for name in result.overlaps
    ]
    if result.trained_items:
        notes.append(
            f"{result.suite}, {result.space}: {result.trained_items:,} items were skipped, as the "
            "model card lists them as training data"
        )
    notes += [
        f"{result.suite}, {result.space}: {task} was not measured: {reason}"
        for task, reason in result.skipped.items()
    ]
    if result.excluded:
        first, reason = next(iter(result.excluded.items()))
        notes.append(
            f"{result.suite}, {result.space}: {len(result.excluded):,} items could not be used; "
            f"the first is {first}: {reason}"
        )
    return notes


def _warn_of_sets(
    space: Space, embedded: Sequence[EmbeddedItems], results: Sequence[SuiteResult]
) -> list[str]:
    """Warn of training data among the sets that have no result, as results warn themselves."""
    measured = {result.suite for result in results}
    names = sorted({name for some in embedded for name in some.sets if name} - measured)
    return [
        f"{space.name} was trained on {source}, which shares items with {name}"
        for name in names
        for source in match_sources(space.card, name)
    ]


def _lay_out(
    embedded: Sequence[EmbeddedItems], generator: np.random.Generator, seed: int
) -> tuple[MapPoint, ...]:
    """Place items of all modalities; uncentered, each modality would be an island."""
    kept = [np.sort(generator.permutation(len(some.items))[:MOST_POINTS]) for some in embedded]
    centered = [center(some.vectors_NE)[rows] for some, rows in zip(embedded, kept, strict=True)]
    items = [
        (some.modality, some.items[row])
        for some, rows in zip(embedded, kept, strict=True)
        for row in rows
    ]
    points_N2 = project(np.concatenate(centered), seed=seed)
    return tuple(
        MapPoint(item=item, modality=modality, x=float(x), y=float(y))
        for (modality, item), (x, y) in zip(items, points_N2, strict=True)
    )
