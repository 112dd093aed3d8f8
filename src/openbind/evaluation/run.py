"""Ask a space what a suite asks, on its data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.files import embed_paths
from openbind.embedding.items import FilePart
from openbind.errors import ConfigError, InputError
from openbind.evaluation.metrics import ranks
from openbind.evaluation.probes import can_probe, measure_probes
from openbind.evaluation.retrieval import measure_ranks, search_pairs, search_texts
from openbind.evaluation.suites import SUITES
from openbind.evaluation.suites.suite import Published, Suite
from openbind.evaluation.tasks import (
    Classification,
    Confusion,
    Item,
    Labeled,
    PairRetrieval,
    Ranking,
    Score,
    Task,
    TextRetrieval,
)
from openbind.evaluation.zero_shot import (
    class_scores,
    confusion_matrix,
    rank_classes,
    score_classification,
)
from openbind.modalities import TEXT
from openbind.space.card import Card
from openbind.space.space import Space
from openbind.space.vectors import combine


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What came out of one suite.

    Args:
        suite: its name.
        space: the space's name.
        scores: the numbers.
        published: a paper's, for those of the scores that have one.
        excluded: item → why it couldn't be used; the numbers are of the others.
        overlaps: names of the space's training data that share items with the suite.
        skipped: task, or "probe" → why it wasn't asked.
        confusions: of the classifications of one class an item.
        rankings: of the same, and of each direction of search.
    """

    suite: str
    space: str
    scores: tuple[Score, ...]
    published: tuple[Published, ...]
    excluded: dict[str, str]
    overlaps: tuple[str, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    confusions: tuple[Confusion, ...] = field(default=(), compare=False)
    rankings: tuple[Ranking, ...] = field(default=(), compare=False)

    def score_of(self, task: str, metric: str) -> Score | None:
        """Return one of the numbers."""
        same = [score for score in self.scores if (score.task, score.metric) == (task, metric)]
        return same[0] if same else None

    def published_for(self, score: Score) -> Published | None:
        """Return the paper's number that a score is held against."""
        same = [p for p in self.published if (p.task, p.metric) == (score.task, score.metric)]
        return same[0] if same else None


def evaluate(
    space: Space,
    suite: str,
    data: str | os.PathLike[str],
    *,
    cache: VectorCache | None = None,
    progress: bool = False,
    probe: bool = False,
) -> SuiteResult:
    """Evaluate a space on one suite.

    Args:
        space: to be measured.
        suite: a name in `SUITES`.
        data: the data set, in the layout that the suite states.
        cache: embeddings of earlier runs, added to: a second run reads nothing.
        progress: show bars on stderr.
        probe: train linear layers on the frozen vectors, too, where a task has items for it.

    Raises:
        UnknownNameError: no such suite.
        ConfigError: the space has the modalities of none of the suite's tasks.
        InputError: the data's layout is wrong, or not one item can be used.
    """
    spec: Suite = SUITES.get(suite)
    result = run_tasks(
        space,
        spec.read(Path(data)),
        suite=suite,
        title=spec.title,
        cache=cache,
        progress=progress,
        probe=probe,
    )
    if not result.scores:
        raise ConfigError("; ".join(dict.fromkeys(result.skipped.values())))
    return replace(result, published=spec.published, overlaps=find_overlaps(space, spec))


def run_tasks(
    space: Space,
    tasks: Sequence[Task],
    *,
    suite: str,
    title: str,
    cache: VectorCache | None = None,
    progress: bool = False,
    probe: bool = False,
) -> SuiteResult:
    """Ask a space some tasks; those that need a modality that it lacks are skipped.

    Args:
        space: to be measured.
        tasks: what is asked.
        suite: the name that the result gets.
        title: what messages call the data.
        cache, progress, probe: see `evaluate`.

    Raises:
        InputError: of a task not one item can be used.
    """
    run = _Run(space, cache, progress)
    for task in tasks:
        missing = [name for name in _needed(task) if name not in space.modalities]
        if missing:
            run.skipped[task.name] = (
                f"{title} needs {' and '.join(missing)}; {space.name} has only "
                f"{', '.join(space.modalities)}"
            )
            continue
        run.ask(task, probe)
    if probe and run.scores and not run.probed:
        run.skipped["probe"] = f"{title} has no items to train probes on"
    return SuiteResult(
        suite=suite,
        space=space.name,
        scores=tuple(run.scores),
        published=(),
        excluded=run.excluded,
        overlaps=(),
        skipped=run.skipped,
        confusions=tuple(run.confusions),
        rankings=tuple(run.rankings),
    )


def find_overlaps(space: Space, suite: Suite) -> tuple[str, ...]:
    """Name the sources in a space's card that share items with a suite, see `match_sources`."""
    return match_sources(space.card, suite.title, suite.overlaps)


def match_sources(card: Card, title: str, overlaps: Sequence[str] = ()) -> tuple[str, ...]:
    """Name the sources in a card that share items with a data set.

    A source is one whose name or origin has the set's title or one of its overlaps in it, or whose
    name is the title's beginning: "LLVIP" is warned of where "LLVIP, test split" is measured,
    "LLVIP, training split" isn't.

    Args:
        card: of the space that is measured.
        title: of the data set.
        overlaps: names of data sets that share items with it, or of packages that it is from.
    """
    whole = title.lower()
    names = (whole, *(name.lower() for name in overlaps))
    return tuple(
        source.name
        for source in card.sources
        if whole.startswith(source.name.lower())
        or any(name in f"{source.name} {source.origin}".lower() for name in names)
    )


class _Run:
    """One space's way through the tasks of a suite, and what came out so far."""

    def __init__(self, space: Space, cache: VectorCache | None, progress: bool) -> None:
        self.space, self.cache, self.progress = space, cache, progress
        self.scores: list[Score] = []
        self.confusions: list[Confusion] = []
        self.rankings: list[Ranking] = []
        self.excluded: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.probed = False
        self._spaces: dict[tuple[str, str], Space] = {}

    def ask(self, task: Task, probe: bool) -> None:
        """Embed a task's items and measure them."""
        if isinstance(task, PairRetrieval):
            self._search_pairs(task)
            return
        vectors_NE, reasons = self._embed(task.modality, task.paths, task.settings)
        kept = self._keep(task.paths, reasons)
        if isinstance(task, TextRetrieval):
            self._search(_take_items(task, kept), self._add(task, vectors_NE)[kept])
            return
        task, vectors_NE = _take_labeled(task, kept), vectors_NE[kept]
        self._classify(task, vectors_NE)
        if probe and can_probe(task):
            self._probe(task, vectors_NE)

    def _keep(self, paths: Sequence[Item], reasons: Mapping[int, str]) -> list[int]:
        """Note which items can't be used; gives the places of the others.

        Raises:
            InputError: there are none.
        """
        self.excluded |= {_name(paths[place]): why for place, why in reasons.items()}
        kept = [place for place in range(len(paths)) if place not in reasons]
        if not kept:
            first = next(iter(reasons))
            raise InputError(_name(paths[first]), f"{reasons[first]}; no item could be used")
        return kept

    def _embed(
        self, modality: str, paths: Sequence[Item], settings: Mapping[str, Any]
    ) -> tuple[np.ndarray, dict[int, str]]:
        # One space for all tasks of the same settings: its fingerprint takes a look at all weights.
        key = (modality, repr(settings))
        if key not in self._spaces:
            changed = self.space.with_settings(modality, **settings) if settings else self.space
            self._spaces[key] = changed
        return embed_paths(self._spaces[key], modality, paths, self.cache, self.progress)

    def _add(self, task: TextRetrieval, vectors_NE: np.ndarray) -> np.ndarray:
        """Add the second side; items that lack it stand with the first alone, and are named."""
        if task.added is None:
            return vectors_NE
        side = task.added
        added_NE, reasons = self._embed(side.modality, side.paths, side.settings)
        for place, why in reasons.items():
            self.excluded[f"{_name(side.paths[place])} ({side.modality})"] = why
        both = np.isfinite(vectors_NE).all(axis=1) & np.isfinite(added_NE).all(axis=1)
        if both.any():
            parts = [(vectors_NE[both], 1 - side.weight), (added_NE[both], side.weight)]
            vectors_NE = vectors_NE.copy()
            vectors_NE[both] = combine(parts)
        return vectors_NE

    def _search(self, task: TextRetrieval, vectors_KE: np.ndarray) -> None:
        self._rank(search_texts(self.space, task, vectors_KE, self.cache, self.progress))

    def _search_pairs(self, task: PairRetrieval) -> None:
        """Embed both sides; a scene counts if both of its sides can be used."""
        found = [
            self._embed(side.modality, side.paths, side.settings) for side in (task, task.other)
        ]
        kept = set(self._keep(task.paths, found[0][1]))
        kept &= set(self._keep(task.other.paths, found[1][1]))
        if not kept:
            raise InputError(task.name, "of no pair both sides could be used")
        places = sorted(kept)
        self._rank(search_pairs(task, found[0][0][places], found[1][0][places]))

    def _rank(self, searches: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
        for name, scores_QK, relevant_QK in searches:
            self.scores += measure_ranks(name, scores_QK, relevant_QK)
            self.rankings.append(Ranking(task=name, rank_Q=ranks(scores_QK, relevant_QK)))

    def _classify(self, task: Classification, vectors_QE: np.ndarray) -> None:
        scores_QK = class_scores(
            self.space, vectors_QE, task.classes, task.templates, self.cache, self.progress
        )
        self.scores += score_classification(task, scores_QK)
        if task.metric == "accuracy":
            self.confusions.append(confusion_matrix(task, scores_QK))
            self.rankings.append(rank_classes(task, scores_QK))

    def _probe(self, task: Classification, vectors_NE: np.ndarray) -> None:
        self.probed = True
        if task.train is None:
            self.scores += measure_probes(task, vectors_NE)
            return
        train = task.train
        train_ME, reasons = self._embed(task.modality, train.paths, task.settings)
        self.excluded |= {_name(train.paths[place]): why for place, why in reasons.items()}
        kept = [place for place in range(len(train.paths)) if place not in reasons]
        if not kept:
            raise InputError(task.name, "not one item to train a probe on could be used")
        left = Labeled(
            paths=[train.paths[place] for place in kept],
            targets=[train.targets[place] for place in kept],
        )
        self.scores += measure_probes(replace(task, train=left), vectors_NE, train_ME[kept])


def _needed(task: Task) -> list[str]:
    """Name the modalities that a task needs."""
    if isinstance(task, PairRetrieval):
        return [task.modality, task.other.modality]
    added = task.added if isinstance(task, TextRetrieval) else None
    return [task.modality, *([added.modality] if added else []), TEXT]


def _name(item: Item) -> str:
    """Name an item in reports."""
    return str(item) if isinstance(item, FilePart) else os.fspath(item)


def _take_items(task: TextRetrieval, places: Sequence[int]) -> TextRetrieval:
    """Keep some items of a retrieval, whose vectors have been made."""
    return replace(
        task,
        paths=[task.paths[place] for place in places],
        captions=[task.captions[place] for place in places],
    )


def _take_labeled(task: Classification, places: Sequence[int]) -> Classification:
    """Keep some items of a classification."""
    return replace(
        task,
        paths=[task.paths[place] for place in places],
        targets=[task.targets[place] for place in places],
        groups=None if task.groups is None else [task.groups[place] for place in places],
    )
