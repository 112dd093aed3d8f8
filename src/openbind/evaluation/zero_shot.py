"""Zero-shot classification: nearest label embedding, without training on the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.files import embed_texts
from openbind.errors import InputError
from openbind.evaluation.metrics import accuracy_at, average_precisions, ranks, share_interval
from openbind.evaluation.tasks import Classification, Confusion, Ranking, Score
from openbind.modalities import TEXT
from openbind.space.space import Space


def fill_template(template: str, label: str) -> str:
    """Return a prompt template with the label in it.

    Args:
        template: contains exactly one `{}`, and no other braces.
        label: inserted unchanged; braces in it are plain characters.

    Raises:
        InputError: the template has no `{}`, several, or other braces.
    """
    if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
        raise InputError(
            f"template {template!r}", "expected exactly one {} for the label and no other braces"
        )
    return template.replace("{}", label)


def label_vectors(
    space: Space,
    labels: Sequence[str],
    templates: Sequence[str] = ("{}",),
    cache: VectorCache | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Embed each label as the mean of its prompts (paper, appendix B; CLIP's prompt ensembles).

    Args:
        space: a space with a text tower.
        labels: class names.
        templates: prompt templates, see `fill_template`.
        cache: vectors of earlier runs; new ones are added.
        progress: show a bar on stderr.

    Returns:
        (labels, dim) float32, unit rows.

    Raises:
        InputError: a template is malformed, or a prompt is empty.
    """
    prompts = [[fill_template(template, label) for template in templates] for label in labels]
    return embed_texts(space, TEXT, prompts, cache, progress)


def class_probabilities(
    space: Space, modality: str, vectors_NE: np.ndarray, label_vectors_KE: np.ndarray
) -> np.ndarray:
    """Return the softmax of the scaled cosines between items and labels.

    The scale is the larger of the two modalities' scales. The reference multiplies both; for two
    modalities that were never trained together that product is a temperature nobody trained, and
    one label gets all the probability.

    Args:
        space: its config holds the scales.
        modality: of the items.
        vectors_NE: unit vectors of the items.
        label_vectors_KE: unit vectors of the labels, see `label_vectors`.

    Returns:
        (items, labels) float32, rows sum to 1.
    """
    scale = max(space.config.modalities[name].scale for name in (modality, TEXT))
    logits_NK = scale * (vectors_NE @ label_vectors_KE.T).astype(np.float64)
    exps_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(exps_NK / exps_NK.sum(axis=1, keepdims=True), dtype=np.float32)


def classify(
    space: Space,
    modality: str,
    items: Any,
    labels: Sequence[str],
    templates: Sequence[str] = ("{}",),
) -> np.ndarray:
    """Encode items and return the probability of each label for each of them.

    Args:
        space: embeds both sides.
        modality: of the items.
        items: as for `space.encode`: items, never vectors. A square depth map as wide as the space
            is one item; for vectors there is `class_probabilities`.
        labels: class names.
        templates: prompt templates, see `fill_template`.

    Returns:
        (items, labels) float32, rows sum to 1.

    Raises:
        InputError: an item or a template can't be used.
    """
    label_vectors_KE = label_vectors(space, labels, templates)
    vectors_NE = np.atleast_2d(space.encode(modality, items))
    return class_probabilities(space, modality, vectors_NE, label_vectors_KE)


def class_scores(
    space: Space,
    vectors_QE: np.ndarray,
    classes: Sequence[tuple[str, ...]],
    templates: Sequence[str],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Score items for classes of one or several names: the cosine with the best of its names.

    Args:
        space: embeds the names.
        vectors_QE: unit vectors of the items.
        classes: for each class its names.
        templates, cache, progress: see `label_vectors`.

    Returns:
        (items, classes).
    """
    names = [name for group in classes for name in group]
    scores_QN = vectors_QE @ label_vectors(space, names, templates, cache, progress).T
    starts = np.cumsum([0, *(len(group) for group in classes[:-1])])
    return np.maximum.reduceat(scores_QN, starts, axis=1)


def measure_classification(
    space: Space, task: Classification, vectors_QE: np.ndarray
) -> list[Score]:
    """Measure how well words name items; with groups, the mean of the groups' numbers.

    Args:
        space: embeds the names of the classes.
        task: what is asked.
        vectors_QE: unit vectors of its items.
    """
    scores_QK = class_scores(space, vectors_QE, task.classes, task.templates)
    return score_classification(task, scores_QK)


def score_classification(task: Classification, scores_QK: np.ndarray) -> list[Score]:
    """Measure scores of items for classes; with groups, the mean of the groups' numbers.

    Args:
        task: what is asked.
        scores_QK: (items, classes) from `class_scores`.
    """
    if task.metric == "mAP":
        return [_score_labels(task, scores_QK)]
    target_Q = np.array([targets[0] for targets in task.targets])
    groups_Q = np.zeros(len(target_Q)) if task.groups is None else np.asarray(task.groups)
    found = []
    for rank in (1, 5):
        if rank >= scores_QK.shape[1]:
            continue
        of_groups = [
            accuracy_at(scores_QK[groups_Q == group], target_Q[groups_Q == group], rank)
            for group in np.unique(groups_Q)
        ]
        value = float(np.mean(of_groups))
        found.append(
            Score(
                task=task.name,
                metric="accuracy" if rank == 1 else f"top-{rank} accuracy",
                value=value,
                chance=rank / scores_QK.shape[1],
                interval=share_interval(value, len(target_Q)),
                count=len(target_Q),
            )
        )
    return found


def confusion_matrix(task: Classification, scores_QK: np.ndarray) -> Confusion:
    """Count what was taken for what.

    Args:
        task: of one class an item.
        scores_QK: (items, classes) from `class_scores`.
    """
    counts_CC = np.zeros((len(task.classes), len(task.classes)), np.int64)
    target_Q = [targets[0] for targets in task.targets]
    np.add.at(counts_CC, (target_Q, scores_QK.argmax(axis=1)), 1)
    names = tuple(group[0] for group in task.classes)
    return Confusion(task=task.name, classes=names, counts_CC=counts_CC)


def rank_classes(task: Classification, scores_QK: np.ndarray) -> Ranking:
    """Return the rank of each item's class, for a task of one class an item."""
    target_Q = np.array([targets[0] for targets in task.targets])
    relevant_QK = np.arange(scores_QK.shape[1]) == target_Q[:, None]
    return Ranking(task=task.name, rank_Q=ranks(scores_QK, relevant_QK))


def _score_labels(task: Classification, scores_QK: np.ndarray) -> Score:
    """Measure items of several classes each."""
    relevant_QK = np.zeros(scores_QK.shape, bool)
    for row, targets in enumerate(task.targets):
        relevant_QK[row, list(targets)] = True
    value = float(average_precisions(scores_QK, relevant_QK).mean())
    # A random order finds every class at its own frequency.
    chance = float(relevant_QK.mean(axis=0)[relevant_QK.any(axis=0)].mean())
    return Score(task=task.name, metric="mAP", value=value, chance=chance, count=len(scores_QK))
