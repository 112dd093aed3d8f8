"""What can be asked of a space on a data set, as plain values: no model, no file is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from openbind.embedding.items import FilePart

Item = str | os.PathLike[str] | FilePart
"""A file, or a part of one."""


@dataclass(frozen=True, kw_only=True)
class Added:
    """What else the same items are, embedded in a second modality and added (paper, Table 4).

    Args:
        modality: of this side.
        paths: one for each of the task's items, in their order.
        weight: of this side's vectors; the task's own have the rest of 1.
        settings: of the modality's preprocessing that the protocol prescribes.
    """

    modality: str
    paths: Sequence[Item]
    weight: float
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Labeled:
    """Items with their classes, to train a probe on.

    Args:
        paths: their files.
        targets: for each item the index of its class.
    """

    paths: Sequence[Item]
    targets: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How a linear layer is trained on frozen vectors. Defaults are ESC-50's (paper, appendix B).

    Args:
        rate, weight_decay, epochs: of AdamW.
        batch_size: not in the paper.
        shots: items of each class to train on; None is all.
        seeds: runs, each with items redrawn, whose accuracies are averaged; not in the paper.
    """

    rate: float = 1.6e-3
    weight_decay: float = 0.05
    epochs: int = 50
    batch_size: int = 64
    shots: Sequence[int | None] = (1, 2, 4, 8, None)
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Items to name, by words alone (zero-shot).

    Args:
        name: of the task, "ESC-50" or "fold 1".
        modality: of the items.
        paths: their files, or parts of files.
        targets: for each item the indices of its classes: one, or several for mAP.
        classes: for each class its names. The best of several counts, as for the class "other" of
            NYU-D (paper, appendix A).
        templates: prompts, each with one `{}` for a name; their embeddings are averaged.
        groups: parts whose numbers are averaged, one number an item (folds); None is one part.
        metric: "accuracy" (top-1 and top-5), or "mAP", mean average precision over classes.
        settings: of the modality's preprocessing that the protocol prescribes.
        train: items for probes; without it the other groups are.
        probe: how probes are trained.
    """

    name: str
    modality: str
    paths: Sequence[Item]
    targets: Sequence[tuple[int, ...]]
    classes: Sequence[tuple[str, ...]]
    templates: Sequence[str]
    groups: Sequence[int] | None = None
    metric: Literal["accuracy", "mAP"] = "accuracy"
    settings: Mapping[str, Any] = field(default_factory=dict)
    train: Labeled | None = None
    probe: ProbeSettings = field(default_factory=ProbeSettings)


@dataclass(frozen=True, kw_only=True)
class TextRetrieval:
    """Captions and items that search for each other.

    Args:
        name: of the task.
        modality: of the items.
        paths: their files, or parts of files.
        captions: for each item its captions, one or several; each is a query of its own.
        settings: of the modality's preprocessing that the protocol prescribes.
        added: a second side of the items, added to the first.
    """

    name: str
    modality: str
    paths: Sequence[Item]
    captions: Sequence[tuple[str, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    added: Added | None = None


@dataclass(frozen=True, kw_only=True)
class Side:
    """The same scenes in another modality.

    Args:
        modality: of this side.
        paths: one for each of the task's items, in their order.
        settings: of the modality's preprocessing that the protocol prescribes.
    """

    modality: str
    paths: Sequence[Item]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairRetrieval:
    """Items of two modalities that search for each other, scene by scene; no words are asked.

    Args:
        name: of the task.
        modality: of the first side.
        paths: the first side's files, or parts of files.
        other: the second side.
        settings: of the first modality's preprocessing that the protocol prescribes.
    """

    name: str
    modality: str
    paths: Sequence[Item]
    other: Side
    settings: Mapping[str, Any] = field(default_factory=dict)


Task = Classification | TextRetrieval | PairRetrieval


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number.

    Args:
        task: what was asked.
        metric: "accuracy", "mAP", "R@10", "median rank", ...
        value: shares in 0..1; ranks from 1.
        chance: what a random order gives.
        interval: 95 % confidence interval of a share; None for other numbers.
        count: items or queries that it is a mean of.
    """

    task: str
    metric: str
    value: float
    chance: float
    interval: tuple[float, float] | None = None
    count: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """What was taken for what.

    Args:
        task: what was asked.
        classes: a name for each.
        counts_CC: items of the row's class that were named as the column's.
    """

    task: str
    classes: tuple[str, ...]
    counts_CC: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Where each query's answer came, to compare two spaces query by query.

    Args:
        task: as in `Score`.
        rank_Q: from 1; top-k accuracy and R@k are the share of those up to k.
    """

    task: str
    rank_Q: np.ndarray
