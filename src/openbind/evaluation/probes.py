"""Few-shot and linear probes: a linear layer trained on frozen vectors (paper, Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from openbind.evaluation.metrics import accuracy, share_interval
from openbind.evaluation.tasks import Classification, ProbeSettings, Score

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Vectors and classes to train on, then to test on."""


def can_probe(task: Classification) -> bool:
    """Return whether a task has items to train on: a training part, or several groups."""
    several = task.groups is not None and len(set(task.groups)) > 1
    return task.metric == "accuracy" and (task.train is not None or several)


def measure_probes(
    task: Classification, vectors_NE: np.ndarray, train_ME: np.ndarray | None = None
) -> list[Score]:
    """Measure probes with a few items of each class and with all: means over groups and seeds.

    Args:
        task: for which `can_probe` holds.
        vectors_NE: unit vectors of its items.
        train_ME: those of its training part, if it has one; otherwise each group is tested with
            a probe trained on the others.
    """
    splits = list(_splits(task, vectors_NE, train_ME))
    count = sum(len(split[3]) for split in splits)
    found = []
    for shots in task.probe.shots:
        values = [
            _measure_split(split, len(task.classes), task.probe, shots, seed)
            for split in splits
            for seed in range(task.probe.seeds)
        ]
        found.append(
            Score(
                task="probe, all" if shots is None else f"probe, {shots} a class",
                metric="accuracy",
                value=float(np.mean(values)),
                chance=1 / len(task.classes),
                interval=share_interval(float(np.mean(values)), count),
                count=count,
            )
        )
    return found


def draw_shots(target_N: np.ndarray, shots: int | None, seed: int) -> np.ndarray:
    """Draw some items of each class, all of it where it has fewer.

    Args:
        target_N: the items' classes.
        shots: how many of each; None is all.
        seed: decides the draw.

    Returns:
        their places, in a random order.
    """
    order_N = np.random.default_rng(seed).permutation(len(target_N))
    if shots is None:
        return order_N
    return np.concatenate(
        [order_N[target_N[order_N] == target][:shots] for target in np.unique(target_N)]
    )


def fit_linear(
    vectors_NE: np.ndarray, target_N: np.ndarray, classes: int, settings: ProbeSettings, seed: int
) -> torch.nn.Linear:
    """Train a linear layer by cross-entropy with AdamW.

    It starts from zeros: the problem is convex, so nothing has to be drawn.

    Args:
        vectors_NE: unit vectors.
        target_N: their classes, 0 … classes - 1.
        classes: how many there are.
        settings: rate, decay, epochs and batch.
        seed: decides the order of the items.
    """
    # As embedding spaces are measured by cosine, vectors go in with unit length; the paper doesn't
    # say whether its own were scaled.
    inputs_NE, labels_N = torch.from_numpy(vectors_NE), torch.from_numpy(target_N)
    layer = torch.nn.Linear(inputs_NE.shape[1], classes)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(
        layer.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(labels_N), generator=shuffle).split(settings.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(layer(inputs_NE[batch]), labels_N[batch]).backward()
            optimizer.step()
    return layer


def _splits(
    task: Classification, vectors_NE: np.ndarray, train_ME: np.ndarray | None
) -> Iterator[Split]:
    target_N = np.array([targets[0] for targets in task.targets])
    if task.train is not None and train_ME is not None:
        yield train_ME, np.asarray(task.train.targets), vectors_NE, target_N
        return
    groups_N = np.asarray(task.groups)
    for group in np.unique(groups_N):
        held_N = groups_N == group
        yield vectors_NE[~held_N], target_N[~held_N], vectors_NE[held_N], target_N[held_N]


def _measure_split(
    split: Split, classes: int, settings: ProbeSettings, shots: int | None, seed: int
) -> float:
    train_ME, train_M, test_NE, test_N = split
    drawn = draw_shots(train_M, shots, seed)
    layer = fit_linear(train_ME[drawn], train_M[drawn], classes, settings, seed)
    with torch.inference_mode():
        scores_NC = layer(torch.from_numpy(test_NE)).numpy()
    return accuracy(scores_NC, test_N)
