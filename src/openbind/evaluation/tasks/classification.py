"""Zero-shot classification: an item's class is the one with the nearest text embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from openbind.evaluation.collection import ItemSet
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.metrics import (
    accuracy_at,
    average_precisions,
    bootstrap_interval,
    effective_count,
    fraction_interval,
    number_groups,
    ranks,
)
from openbind.evaluation.results import Confusion, Ranking, Score, TaskResult
from openbind.evaluation.tasks.task import Task
from openbind.evaluation.zero_shot import label_vectors
from openbind.modalities import TEXT

RESAMPLES_OF_CLASSES = 100
"""Of the bootstrap of mAP, where every class is ranked again."""


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Items to classify by text alone.

    Args:
        targets: for each item the indices of its classes: one, or several for mAP.
        classes: for each class its names. The best of several counts, as for the class "other" of
            NYU-D (paper, appendix A).
        templates: prompts, each with one `{}` for a name; their embeddings are averaged.
        labels: for each class a short name for reports; None takes the first of its names.
        groups: for each item its group (fold); accuracies of groups are averaged. None is one
            group.
        recordings: for each item what it was cut from; items of one recording aren't counted as
            independent in intervals. None if each is of another.
        metric: "accuracy" (top-1 and top-5), or "mAP", mean average precision over classes.
    """

    targets: Sequence[tuple[int, ...]]
    classes: Sequence[tuple[str, ...]]
    templates: Sequence[str]
    labels: Sequence[str] | None = None
    groups: Sequence[int] | None = None
    recordings: Sequence[str] | None = None
    metric: Literal["accuracy", "mAP"] = "accuracy"

    per_item: ClassVar[tuple[str, ...]] = ("items", "targets", "groups", "recordings")

    @classmethod
    def build(cls, items: ItemSet) -> Sequence[Task]:
        """Return one task for each modality with items of two classes or more that have texts.

        Texts of a set are whole phrases, so no prompt is put around them.
        """
        found = []
        names = items.names
        for modality, side in items.sides.items():
            labeled = [item for item in side.items if item.label in names]
            # Only classes that have items: another one could only be a wrong prediction.
            labels = [label for label in names if any(i.label == label for i in labeled)]
            if modality != TEXT and len(labels) >= 2:
                found.append(
                    cls(
                        name=f"zero-shot {modality} classification",
                        modality=modality,
                        items=[item.content for item in labeled],
                        targets=[(labels.index(item.label),) for item in labeled],
                        classes=[names[label] for label in labels],
                        labels=labels,
                        templates=("{}",),
                        settings=side.settings,
                    )
                )
        return found

    def modalities(self) -> tuple[str, ...]:
        """Return the items' modality and text."""
        return (self.modality, TEXT)

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return accuracies with a confusion matrix and ranks, or mAP."""
        rows = embedder.embed(self.modality, self.items, self.settings)
        kept = rows.require_some()
        task: Classification = self.take(kept)
        scores_NK = class_scores(embedder, rows.vectors_NE[kept], task.classes, task.templates)
        single = task.metric == "accuracy"
        return TaskResult(
            scores=score_classification(task, scores_NK),
            confusions=[confusion_matrix(task, scores_NK)] if single else [],
            rankings=[rank_classes(task, scores_NK)] if single else [],
            excluded=rows.errors,
        )


def class_scores(
    embedder: Embedder,
    vectors_NE: np.ndarray,
    classes: Sequence[tuple[str, ...]],
    templates: Sequence[str],
) -> np.ndarray:
    """Score items for classes of one or several names: the cosine with the best name.

    Args:
        embedder: embeds the names.
        vectors_NE: unit vectors of the items.
        classes: for each class its names.
        templates: prompts, see `fill_template`.

    Returns:
        (items, classes).
    """
    names = [name for group in classes for name in group]
    scores_NQ = vectors_NE @ label_vectors(embedder, names, templates).T
    starts = np.cumsum([0, *(len(group) for group in classes[:-1])])
    return np.maximum.reduceat(scores_NQ, starts, axis=1)


def score_classification(task: Classification, scores_NK: np.ndarray) -> list[Score]:
    """Return top-1 and top-5 accuracy, or mAP; with groups, the mean over groups.

    Args:
        task: the task.
        scores_NK: (items, classes) from `class_scores`.
    """
    if task.metric == "mAP":
        return [_mean_average_precision(task, scores_NK)]
    target_N = _single_targets(task)
    groups_N = np.zeros(len(target_N)) if task.groups is None else np.asarray(task.groups)
    found = []
    for depth in (1, 5):
        if depth >= scores_NK.shape[1]:
            continue
        of_groups = [
            accuracy_at(scores_NK[groups_N == group], target_N[groups_N == group], depth)
            for group in np.unique(groups_N)
        ]
        value = float(np.mean(of_groups))
        right_N = rank_classes(task, scores_NK).rank_Q <= depth
        trials = effective_count(right_N, _number_recordings(task))
        found.append(
            Score(
                task=task.name,
                metric="accuracy" if depth == 1 else f"top-{depth} accuracy",
                value=value,
                chance=depth / scores_NK.shape[1],
                interval=fraction_interval(value, trials),
                count=len(target_N),
                choices=scores_NK.shape[1],
            )
        )
    return found


def confusion_matrix(task: Classification, scores_NK: np.ndarray) -> Confusion:
    """Count the predictions for each true class of a task with one class per item."""
    counts_KK = np.zeros((len(task.classes), len(task.classes)), np.int64)
    np.add.at(counts_KK, (_single_targets(task), scores_NK.argmax(axis=1)), 1)
    return Confusion(
        task=task.name,
        modality=task.modality,
        classes=tuple(task.labels or (names[0] for names in task.classes)),
        counts_KK=counts_KK,
    )


def rank_classes(task: Classification, scores_NK: np.ndarray) -> Ranking:
    """Return the rank of each item's class for a task with one class per item."""
    relevant_NK = np.arange(scores_NK.shape[1]) == _single_targets(task)[:, None]
    return Ranking(
        task=task.name, rank_Q=ranks(scores_NK, relevant_NK), group_Q=_number_recordings(task)
    )


def _single_targets(task: Classification) -> np.ndarray[Any, Any]:
    return np.array([targets[0] for targets in task.targets])


def _number_recordings(task: Classification) -> np.ndarray[Any, Any] | None:
    if task.recordings is None:
        return None
    return number_groups(task.recordings)


def _mean_average_precision(task: Classification, scores_NK: np.ndarray) -> Score:
    relevant_NK = np.zeros(scores_NK.shape, bool)
    for row, targets in enumerate(task.targets):
        relevant_NK[row, list(targets)] = True
    value = float(average_precisions(scores_NK, relevant_NK).mean())
    # A random order finds every class at its own frequency.
    chance = float(relevant_NK.mean(axis=0)[relevant_NK.any(axis=0)].mean())
    interval = bootstrap_interval(
        len(scores_NK),
        lambda rows: float(average_precisions(scores_NK[rows], relevant_NK[rows]).mean()),
        RESAMPLES_OF_CLASSES,
        _number_recordings(task),
    )
    return Score(
        task=task.name,
        metric="mAP",
        value=value,
        chance=chance,
        interval=interval,
        count=len(scores_NK),
        choices=scores_NK.shape[1],
    )
