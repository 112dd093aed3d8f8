"""Results of an evaluation: scores, confusion matrices, rankings, and the result of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number.

    Args:
        task: what was measured, "audio → text".
        metric: "accuracy", "mAP", "R@10", "median rank", ...
        value: fractions in 0..1; ranks from 1.
        chance: expected value for a random order.
        interval: of 95 %: Wilson's for fractions, by drawing items again for others; None where
            there is none.
        count: items or queries that the value is a mean over.
        choices: classes or items that each of them chose from; 0 where there was no choice.
    """

    task: str
    metric: str
    value: float
    chance: float
    interval: tuple[float, float] | None = None
    count: int = 0
    choices: int = 0


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number from a paper, shown beside ours.

    Args:
        task, metric: of the score that it belongs to.
        value: in the unit of `Score.value`.
        where: system, paper and table.
        count: items or queries that it is a mean over; 0 where the paper doesn't say.
        choices: classes or items that each of them chose from; 0 likewise.
    """

    task: str
    metric: str
    value: float
    where: str
    count: int = 0
    choices: int = 0

    def describe(self, score: Score) -> str:
        """Return where it is from; and of how many items and choices, if the score is of others."""
        pairs = (("items", self.count, score.count), ("choices", self.choices, score.choices))
        known = [(name, own, found) for name, own, found in pairs if own and found]
        if all(own == found for _, own, found in known):
            return self.where
        own = " and ".join(f"{own:,} {name}" for name, own, _ in known)
        return f"{self.where}, of {own}; here {' and '.join(f'{found:,}' for *_, found in known)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """A confusion matrix.

    Args:
        task: as in `Score`.
        modality: of the items.
        classes: a name for each class.
        counts_KK: items of the row's class that were predicted as the column's.
    """

    task: str
    modality: str
    classes: tuple[str, ...]
    counts_KK: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Rank of the best relevant item for each query; compares two spaces query by query.

    Args:
        task: as in `Score`.
        rank_Q: from 1; top-k accuracy and R@k are the fraction of ranks up to k.
        group_Q: an integer for each query; those of one recording have the same, and aren't
            independent. None if all are.
    """

    task: str
    rank_Q: np.ndarray
    group_Q: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn from an item.

    Args:
        modality: of the item.
        title: names the item.
        label: its class.
        images: drawn from it.
    """

    modality: str
    title: str
    label: str
    images: tuple[Image.Image, ...]


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where in an image a query was found.

    Args:
        modality: of the query.
        label: what it is of.
        image: the map over the image.
        hit: whether the hottest point is on it.
    """

    modality: str
    label: str
    image: Image.Image
    hit: bool


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What a task measured.

    Args:
        scores: the numbers.
        confusions: of classifications with one class per item.
        rankings: of the same, and of each direction of retrieval.
        excluded: name of an item → why it can't be used; the numbers are over the others.
        drawn: images drawn from items.
        located: some of the maps.
    """

    scores: Sequence[Score]
    confusions: Sequence[Confusion] = ()
    rankings: Sequence[Ranking] = ()
    drawn: Sequence[Drawn] = ()
    located: Sequence[Located] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """Results of one space on one suite.

    Args:
        suite: its name.
        space: the space's name.
        scores: the numbers.
        published: numbers from papers for some of the scores.
        excluded: name of an item → why it can't be used; the numbers are over the others.
        overlaps: sources in the space's card that share items with the suite.
        skipped: task, or "probe" → why it wasn't measured.
        trained_items: how many items were skipped because the card lists them as training data.
        confusions: of classifications with one class per item.
        rankings: of the same, and of each direction of retrieval.
        drawn: images drawn from items.
        located: some of the maps.
    """

    suite: str
    space: str
    scores: tuple[Score, ...]
    published: tuple[Published, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    overlaps: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    trained_items: int = 0
    confusions: tuple[Confusion, ...] = field(default=(), compare=False)
    rankings: tuple[Ranking, ...] = field(default=(), compare=False)
    drawn: tuple[Drawn, ...] = field(default=(), compare=False)
    located: tuple[Located, ...] = field(default=(), compare=False)

    def score_of(self, task: str, metric: str) -> Score | None:
        """Return the score of a task and metric; None if it wasn't measured."""
        same = [score for score in self.scores if (score.task, score.metric) == (task, metric)]
        return same[0] if same else None

    def published_for(self, score: Score) -> Published | None:
        """Return the paper's number for a score; None if there is none."""
        same = [p for p in self.published if (p.task, p.metric) == (score.task, score.metric)]
        return same[0] if same else None


def unique_scores(results: Sequence[SuiteResult]) -> list[Score]:
    """Return one score for each task and metric that any of the results has, the first one's."""
    found = {(s.task, s.metric): s for result in reversed(results) for s in result.scores}
    order = dict.fromkeys((s.task, s.metric) for result in results for s in result.scores)
    return [found[key] for key in order]


def group_by_suite(results: Sequence[SuiteResult]) -> dict[str, list[SuiteResult]]:
    """Return suite → its results, in order."""
    names = dict.fromkeys(result.suite for result in results)
    return {name: [result for result in results if result.suite == name] for name in names}
