"""What can be asked without a data set of one's own: the held-out sets, every modality of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.files import embed_paths, embed_texts
from openbind.errors import ConfigError, InputError
from openbind.evaluation.collection import EmbeddedItems, Item, share_scenes
from openbind.evaluation.held_out import HeldOutSet, HeldOutSide, held_out_folder, read_sets
from openbind.evaluation.run import SuiteResult, match_sources, run_tasks
from openbind.evaluation.suites import roadscene
from openbind.evaluation.tasks import Classification, PairRetrieval, Side, Task
from openbind.modalities import TEXT
from openbind.space.space import Space

ON_DISK = {"roadscene": roadscene.read_held_out}
"""Folder → how it is read: sets whose files may not be passed on."""
WHOLE = ("{}",)
"""The words of a set are whole phrases: no prompt is put around them."""


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """What came out of the held-out sets.

    Args:
        embedded: the items with their vectors, for each modality that the space has.
        results: one for each set that something could be asked of.
        warnings: of the sets that nothing could be asked of, why.
    """

    embedded: tuple[EmbeddedItems, ...]
    results: tuple[SuiteResult, ...]
    warnings: tuple[str, ...] = ()


def measure_built_in(
    space: Space,
    sets: Sequence[HeldOutSet],
    *,
    cache: VectorCache | None = None,
    progress: bool = False,
) -> BuiltIn:
    """Embed the items of held-out sets and ask what their words and scenes can be asked for.

    Args:
        space: to be measured.
        sets: of items.
        cache: vectors of earlier runs, added to; None keeps them for this call only.
        progress: show bars on stderr.

    Raises:
        ConfigError: the space has fewer than two modalities of the sets.
        InputError: of a set and modality not one item can be used.
    """
    own = [name for name in space.modalities if any(name in held.sides for held in sets)]
    if len(own) < 2:
        there = dict.fromkeys(name for held in sets for name in held.sides)
        raise ConfigError(
            f"{space.name} has only {', '.join(space.modalities)}; to find one by another, two of "
            f"{', '.join(there)} are needed"
        )
    with tempfile.TemporaryDirectory() as folder:
        # Items are embedded for the tasks and for the matrix: the second time they are there.
        kept = nullcontext(cache) if cache else VectorCache(Path(folder) / "vectors.sqlite")
        with kept as known:
            results = [_ask(space, held, known, progress) for held in sets]
            embedded = [gather(space, name, sets, known, progress) for name in own]
    return BuiltIn(
        embedded=tuple(some for some in embedded if some is not None),
        results=tuple(result for result in results if result.scores),
        warnings=tuple(
            f"{task}: {reason}"
            for result in results
            if not result.scores
            for task, reason in result.skipped.items()
        ),
    )


def find_sets(data: Path | None = None) -> list[HeldOutSet]:
    """Return the sets that ship, and those that a folder holds.

    Args:
        data: holds one of `ON_DISK` or more; None is no folder.

    Raises:
        InputError: the folder has none of them, or one isn't as expected.
    """
    found = read_sets(held_out_folder())
    if data is None:
        return found
    there = [name for name in ON_DISK if (data / name).is_dir()]
    if not there:
        raise InputError(data, f"expected a folder {' or '.join(ON_DISK)} in it")
    return found + [ON_DISK[name](data / name) for name in there]


def build_tasks(held: HeldOutSet) -> list[Task]:
    """Return what a set can be asked for.

    Modalities are named by words where there are words for two classes or more, and search for
    each other where they show the same scenes.
    """
    asked: list[Task] = []
    names = held.names
    others = {modality: side for modality, side in held.sides.items() if modality != TEXT}
    for modality, side in others.items():
        items = [item for item in side.items if item.label in names]
        # Only classes that there are items of: a name without any would be a wrong answer only.
        labels = [label for label in names if any(item.label == label for item in items)]
        if len(labels) >= 2:
            asked.append(
                Classification(
                    name=f"{modality} named by {TEXT}",
                    modality=modality,
                    paths=[item.path for item in items],
                    targets=[(labels.index(item.label),) for item in items],
                    classes=[names[label] for label in labels],
                    templates=WHOLE,
                    settings=side.settings,
                )
            )
    for (one, first), (two, second) in combinations(others.items(), 2):
        if share_scenes(first.items, second.items):
            pairs = _pair(first.items, second.items)
            asked.append(
                PairRetrieval(
                    name=f"{one} and {two}",
                    modality=one,
                    paths=[a.path for a, _ in pairs],
                    other=Side(
                        modality=two, paths=[b.path for _, b in pairs], settings=second.settings
                    ),
                    settings=first.settings,
                )
            )
    return asked


def gather(
    space: Space,
    modality: str,
    sets: Sequence[HeldOutSet],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> EmbeddedItems | None:
    """Embed all items of one modality; those that can't be used are excluded.

    Args:
        space: has the modality.
        modality: of the items.
        sets: that they are taken from.
        cache: vectors of earlier runs, added to.
        progress: show a bar on stderr.

    Returns:
        None if not one can be used.
    """
    sides = [held.sides[modality] for held in sets if modality in held.sides]
    items = [item for side in sides for item in side.items]
    vectors_NE = np.concatenate([_embed(space, modality, side, cache, progress) for side in sides])
    kept = np.flatnonzero(np.isfinite(vectors_NE).all(axis=1))
    if not len(kept):
        return None
    return EmbeddedItems(
        modality=modality,
        items=tuple(items[place] for place in kept),
        vectors_NE=vectors_NE[kept],
    )


def _embed(
    space: Space, modality: str, side: HeldOutSide, cache: VectorCache | None, progress: bool
) -> np.ndarray:
    """Embed the items of a side; rows of those that can't be used are NaN."""
    if modality == TEXT:
        texts = [[item.title] for item in side.items]
        return embed_texts(space, modality, texts, cache, progress)
    changed = space.with_settings(modality, **side.settings) if side.settings else space
    return embed_paths(changed, modality, [i.path for i in side.items], cache, progress)[0]


def _ask(space: Space, held: HeldOutSet, cache: VectorCache | None, progress: bool) -> SuiteResult:
    result = run_tasks(
        space, build_tasks(held), suite=held.title, title=held.title, cache=cache, progress=progress
    )
    return replace(result, overlaps=match_sources(space.card, held.title, held.origins))


def _pair(some: Sequence[Item], others: Sequence[Item]) -> list[tuple[Item, Item]]:
    """Put the items of the same scene together; the first of each side counts."""
    of_scene = {item.pair: item for item in reversed(others) if item.pair}
    firsts = {item.pair: item for item in reversed(some) if item.pair in of_scene}
    return [(item, of_scene[item.pair]) for item in some if firsts.get(item.pair) is item]
