"""What can be asked of a space on a data set, as plain values: no model, no file is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Items to name, by words alone (zero-shot).

    Args:
        name: of the task, "ESC-50" or "fold 1".
        modality: of the items.
        paths: their files.
        targets: for each item the indices of its classes: one, or several for mAP.
        classes: for each class its names. The best of several counts, as for the class "other" of
            NYU-D (paper, appendix A).
        templates: prompts, each with one `{}` for a name; their embeddings are averaged.
        groups: parts whose numbers are averaged, one number an item (folds); None is one part.
        metric: "accuracy" (top-1 and top-5), or "mAP", mean average precision over classes.
    """

    name: str
    modality: str
    paths: Sequence[Path]
    targets: Sequence[tuple[int, ...]]
    classes: Sequence[tuple[str, ...]]
    templates: Sequence[str]
    groups: Sequence[int] | None = None
    metric: Literal["accuracy", "mAP"] = "accuracy"


@dataclass(frozen=True, kw_only=True)
class TextRetrieval:
    """Captions and items that search for each other.

    Args:
        name: of the task.
        modality: of the items.
        paths: their files.
        captions: for each item its captions, one or several; each is a query of its own.
    """

    name: str
    modality: str
    paths: Sequence[Path]
    captions: Sequence[tuple[str, ...]]


Task = Classification | TextRetrieval


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
