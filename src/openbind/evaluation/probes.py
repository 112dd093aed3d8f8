"""Train linear layers on frozen vectors and measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from openbind.evaluation.metrics import accuracy, fraction_interval
from openbind.evaluation.results import Score


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How a linear layer is trained on frozen vectors. Defaults are ESC-50's (paper, appendix B).

    Args:
        lr, weight_decay, epochs: of AdamW.
        batch_size: not in the paper.
        shots: training items per class; None is all.
        seeds: runs, each with items drawn again, whose accuracies are averaged; not in the paper.
    """

    lr: float = 1.6e-3
    weight_decay: float = 0.05
    epochs: int = 50
    batch_size: int = 64
    shots: Sequence[int | None] = (1, 2, 4, 8, None)
    seeds: int = 3


class Split(NamedTuple):
    """Unit vectors and class indices to train on, and to test on."""

    train_ME: np.ndarray
    train_M: np.ndarray
    test_NE: np.ndarray
    test_N: np.ndarray


def measure_probes(splits: Sequence[Split], classes: int, settings: ProbeSettings) -> list[Score]:
    """Return the accuracy for each number of shots, averaged over splits and seeds.

    Args:
        splits: at least one.
        classes: how many classes there are.
        settings: how probes are trained.
    """
    count = sum(len(split.test_N) for split in splits)
    found = []
    for shots in settings.shots:
        value = float(
            np.mean(
                [
                    _measure_split(split, classes, settings, shots, seed)
                    for split in splits
                    for seed in range(settings.seeds)
                ]
            )
        )
        found.append(
            Score(
                task="probe, all" if shots is None else f"probe, {shots} per class",
                metric="accuracy",
                value=value,
                chance=1 / classes,
                interval=fraction_interval(value, count),
                count=count,
            )
        )
    return found


def draw_shots(target_N: np.ndarray, shots: int | None, seed: int) -> np.ndarray:
    """Draw some items of each class, or all where it has fewer.

    Args:
        target_N: class indices of the items.
        shots: items per class; None is all.
        seed: of the draw.

    Returns:
        indices in random order.
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

    It starts from zeros: the problem is convex, so no random start is needed.

    Args:
        vectors_NE: unit vectors.
        target_N: class indices.
        classes: how many classes there are.
        settings: of the optimizer.
        seed: of the order of the items.
    """
    # Embedding spaces are measured by cosine, so the vectors have unit length; the paper doesn't
    # say whether its own were scaled.
    inputs_NE, labels_N = torch.from_numpy(vectors_NE), torch.from_numpy(target_N)
    layer = torch.nn.Linear(inputs_NE.shape[1], classes)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(
        layer.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(labels_N), generator=shuffle).split(settings.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(layer(inputs_NE[batch]), labels_N[batch]).backward()
            optimizer.step()
    return layer


def _measure_split(
    split: Split, classes: int, settings: ProbeSettings, shots: int | None, seed: int
) -> float:
    train_ME, train_M, test_NE, test_N = split
    drawn = draw_shots(train_M, shots, seed)
    layer = fit_linear(train_ME[drawn], train_M[drawn], classes, settings, seed)
    with torch.inference_mode():
        scores_NL = layer(torch.from_numpy(test_NE)).numpy()
    return accuracy(scores_NL, test_N)
