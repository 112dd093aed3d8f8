"""Evaluation without a data set of one's own: the held-out sets that ship."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openbind.errors import ConfigError, InputError
from openbind.evaluation.collection import EmbeddedItems, ItemSet
from openbind.evaluation.contamination import match_sources, trained_items
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.emergence import Cell, find_trained_pairs, measure_emergence
from openbind.evaluation.held_out import held_out_folder, read_sets
from openbind.evaluation.judge import Judge
from openbind.evaluation.results import SuiteResult
from openbind.evaluation.run import run_tasks
from openbind.evaluation.suites import roadscene
from openbind.evaluation.tasks import TASKS
from openbind.evaluation.tasks.drawing import with_judge
from openbind.evaluation.tasks.task import Task

ON_DISK = {"roadscene": roadscene.read_set}
"""Folder → reader, for sets whose files may not be redistributed."""


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """What a space was measured at on sets of items.

    Args:
        embedded: the items with their vectors, for each modality that the space has.
        results: one for each set with a task.
        cells: cross-modal alignment: every modality searched by every other.
        warnings: why sets have no result.
    """

    embedded: tuple[EmbeddedItems, ...]
    results: tuple[SuiteResult, ...]
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...] = ()


def measure_built_in(
    embedder: Embedder, sets: Sequence[ItemSet], seed: int = 0, judge: Judge | None = None
) -> BuiltIn:
    """Embed the items of sets, run the tasks that they support, and measure the alignment.

    Items that the space's card lists as training data are skipped, and sets of nothing else with a
    warning.

    Args:
        embedder: embeds in the space to be measured.
        sets: of items.
        seed: of the alignment's control.
        judge: names drawn images; None takes the one that ships.

    Raises:
        ConfigError: the space has fewer than two modalities of the sets.
        InputError: of a task no item can be used.
    """
    space = embedder.space
    unseen = [held.without(trained_items(space.card, held.title)) for held in sets]
    own = [name for name in space.modalities if any(name in held.sides for held in unseen)]
    if len(own) < 2:
        there = dict.fromkeys(name for held in sets for name in held.sides)
        raise ConfigError(
            f"{space.name} has only {', '.join(space.modalities)}; cross-modal evaluation needs "
            f"two of {', '.join(there)}"
        )
    results = [
        replace(_run(embedder, left, judge), trained_items=_count(held) - _count(left))
        for held, left in zip(sets, unseen, strict=True)
    ]
    gathered = [gather(embedder, name, unseen) for name in own]
    embedded = tuple(some for some in gathered if some is not None)
    generator = np.random.default_rng(seed)
    return BuiltIn(
        embedded=embedded,
        results=tuple(result for result in results if result.scores),
        cells=measure_emergence(embedded, find_trained_pairs(space), generator),
        warnings=tuple(
            warning for result in results if not result.scores for warning in _explain(result)
        ),
    )


def find_sets(data: Path | None = None) -> list[ItemSet]:
    """Return the sets that ship, and those of a folder, see `read_on_disk`."""
    return read_sets(held_out_folder()) + ([] if data is None else read_on_disk(data))


def read_on_disk(data: Path) -> list[ItemSet]:
    """Return the sets of a folder.

    Args:
        data: contains one folder of `ON_DISK` or more.

    Raises:
        InputError: it has none of them, or one has a wrong layout.
    """
    there = [name for name in ON_DISK if (data / name).is_dir()]
    if not there:
        raise InputError(data, f"expected a folder {' or '.join(ON_DISK)} in it")
    return [ON_DISK[name](data / name) for name in there]


def build_tasks(held: ItemSet) -> list[Task]:
    """Return the tasks of every kind that a set of items supports."""
    return [task for name in TASKS.names() for task in TASKS.get(name).build(held)]


def gather(embedder: Embedder, modality: str, sets: Sequence[ItemSet]) -> EmbeddedItems | None:
    """Embed all items of one modality.

    Args:
        embedder: embeds in a space with the modality.
        modality: of the items.
        sets: that they are taken from.

    Returns:
        those that can be used; None if none can.
    """
    sides = [held.sides[modality] for held in sets if modality in held.sides]
    items = [item for side in sides for item in side.items]
    vectors_NE = np.concatenate(
        [
            embedder.embed(
                modality, [item.content for item in side.items], side.settings
            ).vectors_NE
            for side in sides
        ]
    )
    kept = np.flatnonzero(np.isfinite(vectors_NE).all(axis=1))
    if not len(kept):
        return None
    return EmbeddedItems(
        modality=modality,
        items=tuple(items[index] for index in kept),
        vectors_NE=vectors_NE[kept],
    )


def _run(embedder: Embedder, held: ItemSet, judge: Judge | None) -> SuiteResult:
    tasks = with_judge(build_tasks(held), judge)
    result = run_tasks(embedder, tasks, suite=held.title, title=held.title)
    overlaps = match_sources(embedder.space.card, held.title, held.origins)
    return replace(result, overlaps=overlaps)


def _explain(result: SuiteResult) -> list[str]:
    """Say why a set has no result."""
    if result.trained_items and not result.skipped:
        return [f"{result.suite}: {result.space} was trained on its items"]
    return [f"{task}: {reason}" for task, reason in result.skipped.items()]


def _count(held: ItemSet) -> int:
    return sum(len(side.items) for side in held.sides.values())
