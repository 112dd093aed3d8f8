"""Ask a space what a suite asks, on its data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openbind.cache import VectorCache
from openbind.errors import ConfigError, InputError
from openbind.evaluation.retrieval import measure_text_retrieval
from openbind.evaluation.suites import SUITES
from openbind.evaluation.suites.suite import Published, Suite
from openbind.evaluation.tasks import Classification, Score, Task, TextRetrieval
from openbind.evaluation.zero_shot import measure_classification
from openbind.files import embed_paths
from openbind.modalities import WORDS
from openbind.space import Space


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What came out of one suite.

    Args:
        suite: its name.
        space: the space's name.
        scores: the numbers.
        published: a paper's, for those of the scores that have one.
        left_out: file → why it couldn't be used; the numbers are of the others.
        overlaps: names of the space's training data that share items with the suite.
    """

    suite: str
    space: str
    scores: tuple[Score, ...]
    published: tuple[Published, ...]
    left_out: dict[str, str]
    overlaps: tuple[str, ...]

    def published_for(self, score: Score) -> Published | None:
        """Give the paper's number that a score is held against."""
        same = [p for p in self.published if (p.task, p.metric) == (score.task, score.metric)]
        return same[0] if same else None


def evaluate(
    space: Space,
    suite: str,
    data: str | os.PathLike[str],
    *,
    cache: VectorCache | None = None,
    progress: bool = False,
) -> SuiteResult:
    """Evaluate a space on one suite.

    Args:
        space: to be measured.
        suite: a name in `SUITES`.
        data: the data set, in the layout that the suite states.
        cache: embeddings of earlier runs, added to: a second run reads nothing.
        progress: show bars on stderr.

    Raises:
        UnknownNameError: no such suite.
        ConfigError: the space lacks a modality that the suite needs.
        InputError: the data's layout is wrong, or not one item can be used.
    """
    spec: Suite = SUITES.get(suite)
    scores: list[Score] = []
    left_out: dict[str, str] = {}
    for task in spec.read(Path(data)):
        _require_modalities(space, spec, (task.modality, WORDS))
        vectors_NE, reasons = embed_paths(space, task.modality, task.paths, cache, progress)
        left_out |= {os.fspath(task.paths[place]): why for place, why in reasons.items()}
        kept = [place for place in range(len(task.paths)) if place not in reasons]
        if not kept:
            first = next(iter(reasons))
            raise InputError(task.paths[first], f"{reasons[first]}; no item could be used")
        scores += _measure(space, _take(task, kept), vectors_NE[kept])
    return SuiteResult(
        suite=suite,
        space=space.config.name,
        scores=tuple(scores),
        published=spec.published,
        left_out=left_out,
        overlaps=find_overlaps(space, spec),
    )


def find_overlaps(space: Space, suite: Suite) -> tuple[str, ...]:
    """Name the sources in a space's card that share items with a suite."""
    return tuple(
        source.name
        for source in space.card.sources
        if any(name.lower() in source.name.lower() for name in (suite.title, *suite.overlaps))
    )


def _measure(space: Space, task: Task, vectors_NE: np.ndarray) -> list[Score]:
    if isinstance(task, Classification):
        return measure_classification(space, task, vectors_NE)
    return measure_text_retrieval(space, task, vectors_NE)


def _take(task: Task, places: Sequence[int]) -> Task:
    """Keep some items of a task."""
    paths = [task.paths[place] for place in places]
    if isinstance(task, TextRetrieval):
        return replace(task, paths=paths, captions=[task.captions[place] for place in places])
    groups = None if task.groups is None else [task.groups[place] for place in places]
    return replace(
        task, paths=paths, targets=[task.targets[place] for place in places], groups=groups
    )


def _require_modalities(space: Space, suite: Suite, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in space.modalities]
    if missing:
        raise ConfigError(
            f"{suite.title} needs {' and '.join(missing)}; {space.config.name} has only "
            f"{', '.join(space.modalities)}"
        )
