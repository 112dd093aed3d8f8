"""Few-shot and linear probes: a linear layer trained on frozen vectors (paper, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from openbind.embedding.items import Item
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.probes import ProbeSettings, Split, measure_probes
from openbind.evaluation.results import TaskResult
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Labeled:
    """Items with their classes, to train a probe on.

    Args:
        items: files or parts of files.
        targets: for each item the index of its class.
    """

    items: Sequence[Item]
    targets: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LinearProbe(Task):
    """Items that are classified by layers trained on others.

    Args:
        targets: for each item the index of its class.
        classes: how many classes there are.
        groups: for each item its group (fold); each is tested by a probe of the others.
        train: a training split, instead of groups.
        probe: how probes are trained.
    """

    targets: Sequence[int]
    classes: int
    groups: Sequence[int] | None = None
    train: Labeled | None = None
    probe: ProbeSettings = field(default_factory=ProbeSettings)

    per_item: ClassVar[tuple[str, ...]] = ("items", "targets", "groups")
    learns: ClassVar[bool] = True

    @classmethod
    def of(
        cls, task: Classification, train: Labeled | None = None, probe: ProbeSettings | None = None
    ) -> LinearProbe:
        """Return the probe of a classification with one class per item.

        Args:
            task: the classification; without `train` it needs groups.
            train: a training split.
            probe: how probes are trained; None takes the defaults.
        """
        return cls(
            name="probe",
            modality=task.modality,
            items=task.items,
            settings=task.settings,
            targets=[targets[0] for targets in task.targets],
            classes=len(task.classes),
            groups=None if train else task.groups,
            train=train,
            probe=probe or ProbeSettings(),
        )

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return accuracies of probes of some items per class and of all."""
        rows = embedder.embed(self.modality, self.items, self.settings)
        kept = rows.require_some()
        task: LinearProbe = self.take(kept)
        excluded = dict(rows.errors)
        target_N = np.asarray(task.targets)
        if task.train is None:
            splits = split_groups(rows.vectors_NE[kept], target_N, np.asarray(task.groups))
        else:
            train = embedder.embed(task.modality, task.train.items, task.settings)
            if not train.usable:
                raise InputError(task.name, "no item of the training split could be used")
            excluded |= train.errors
            train_M = np.asarray(task.train.targets)[train.usable]
            train_ME = train.vectors_NE[train.usable]
            splits = [Split(train_ME, train_M, rows.vectors_NE[kept], target_N)]
        return TaskResult(
            scores=measure_probes(splits, task.classes, task.probe), excluded=excluded
        )


def split_groups(vectors_NE: np.ndarray, target_N: np.ndarray, groups_N: np.ndarray) -> list[Split]:
    """Return a split for each group: it is tested, the others are trained on."""
    tests = [groups_N == group for group in np.unique(groups_N)]
    return [
        Split(vectors_NE[~test_N], target_N[~test_N], vectors_NE[test_N], target_N[test_N])
        for test_N in tests
    ]
