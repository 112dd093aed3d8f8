"""Drawing: images are generated from items of a modality, and a judge names what they show.

The judge is no part of the space (`openbind.evaluation.judge`). Its answers on real images of the
same classes are the ceiling, those on images drawn for items of other classes the floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.collection import ItemSet
from openbind.evaluation.controls import measure_controls
from openbind.evaluation.drawn import diversity, kernel_distance, shuffle
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.judge import Judge, read_judge, shipped_judge
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.results import Drawn, Score, TaskResult
from openbind.evaluation.tasks.task import Task
from openbind.media.image import read_image
from openbind.modalities import IMAGE

EACH = 2
"""Images drawn from an item."""
MOST_ITEMS = 16
"""Items that are drawn from; the first of each class, then the second, and so on."""


@cache
def default_judge() -> Judge:
    """Return the judge that ships."""
    return read_judge(shipped_judge())


@dataclass(frozen=True, kw_only=True)
class Drawing(Task):
    """Images are drawn from items, and the judge names them among the classes of the items.

    Args:
        labels: class of each item, a name that the judge knows.
        real: real images, with their classes.
        judge: names the images; None takes the one that ships.
        most: items that are drawn from, classes taking turns; None takes all, and that at least
            two classes are known to the judge is required.
    """

    labels: Sequence[str]
    real: Sequence[tuple[str, object]]
    judge: Judge | None = None
    most: int | None = None

    per_item: ClassVar[tuple[str, ...]] = ("items", "labels")

    @classmethod
    def build(cls, items: ItemSet) -> Sequence[Task]:
        """Return a task for each modality that shares at least two classes with the images."""
        if IMAGE not in items.sides or not shipped_judge().is_file():
            return ()
        real = [(i.label, i.path) for i in items.sides[IMAGE].items if i.label and i.path]
        shown, tasks = {label for label, _ in real}, list[Task]()
        for modality, side in items.sides.items():
            own = [item for item in side.items if item.label in shown]
            if modality == IMAGE or len({item.label for item in own}) < 2:
                continue
            drawing = cls(
                name=f"drawing from {modality}",
                modality=modality,
                items=[item.content for item in own],
                settings=side.settings,
                labels=[item.label for item in own],
                real=real,
                most=MOST_ITEMS,
            )
            tasks.append(drawing)
        return tasks

    def measure(self, embedder: Embedder) -> TaskResult:
        """Draw images, and let the judge name them; nothing if the space has no decoder.

        Raises:
            InputError: the judge knows fewer than two of the classes, where all are asked for.
        """
        judge = self.judge or default_judge()
        chosen = self._choose(set(judge.names))
        if embedder.space.generator is None or not chosen:
            return TaskResult(scores=())
        items = [self.items[index] for index in chosen]
        rows = embedder.embed(self.modality, items, self.settings)
        kept = rows.require_some()
        labels = [self.labels[chosen[index]] for index in kept]
        vectors_NE = rows.vectors_NE[kept]
        drawn = embedder.space.generate(vectors_NE, modality=self.modality, n=EACH)
        names = set(labels)
        real = [(label, read_image(source)) for label, source in self.real if label in names]
        scores = judge_drawn(judge, self.modality, labels, drawn, real)
        scores += measure_controls(
            judge, embedder.space, self.modality, labels, vectors_NE, drawn, real
        )
        titles = [str(items[index]) for index in kept]
        return TaskResult(
            scores=scores,
            excluded=dict(rows.errors),
            drawn=tuple(
                Drawn(modality=self.modality, title=title, label=label, images=tuple(images))
                for title, label, images in zip(titles, labels, drawn, strict=True)
            ),
        )

    def _choose(self, known: set[str]) -> list[int]:
        """Return the items that are drawn from; none if the judge knows fewer than two classes."""
        shown = known & {label for label, _ in self.real}
        own = [index for index, label in enumerate(self.labels) if label in shown]
        if len({self.labels[index] for index in own}) < 2:
            if self.most is not None:
                return []
            some, there = sorted(known)[:8], sorted(set(self.labels))[:8]
            reason = f"the judge knows fewer than two of its classes, {', '.join(there)}"
            raise InputError(self.name, f"{reason}; it knows {', '.join(some)} and others")
        return take_turns(own, [self.labels[index] for index in own])[: self.most]


def with_judge(tasks: Iterable[Task], judge: Judge | None) -> list[Task]:
    """Return tasks of which those that draw have another judge; None changes nothing."""
    return [
        replace(task, judge=judge) if judge is not None and isinstance(task, Drawing) else task
        for task in tasks
    ]


def take_turns(items: Sequence, labels: Sequence[str]) -> list:  # type: ignore[type-arg]
    """Return items so that the first of each class come first, then the second, and so on."""
    seen: dict[str, int] = {}
    place = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        place.append(seen[label])
    order = sorted(range(len(items)), key=lambda index: place[index])
    return [items[index] for index in order]


def judge_drawn(
    judge: Judge,
    modality: str,
    labels: Sequence[str],
    drawn: Sequence[Sequence[Image.Image]],
    real: Sequence[tuple[str, Image.Image]],
) -> list[Score]:
    """Return what a judge sees in drawn images.

    Args:
        judge: names them among the classes of `labels`.
        modality: that they were drawn from.
        labels: of each item.
        drawn: of each item, some images.
        real: images of the same classes, with theirs.
    """
    names = sorted(set(labels))
    columns = [judge.names.index(name) for name in names]
    each = len(drawn[0])
    seen_ND = judge.features([image for images in drawn for image in images])
    real_MD = judge.features([image for _, image in real])
    target_N = np.repeat([names.index(label) for label in labels], each)
    real_M = np.array([names.index(label) for label, _ in real])
    found_N = judge.classify(seen_ND)[:, columns].argmax(1)
    right_M = judge.classify(real_MD)[:, columns].argmax(1) == real_M
    floor_N = target_N.reshape(-1, each)[shuffle(len(labels))].reshape(-1)
    nearest_N = real_M[(seen_ND @ real_MD.T).argmax(1)]
    task, chance = f"drawing from {modality}", 1 / len(names)

    def fraction(metric: str, right: np.ndarray) -> Score:
        value = float(right.mean())
        interval = fraction_interval(value, len(right))
        return Score(
            task=task,
            metric=metric,
            value=value,
            chance=chance,
            interval=interval,
            count=len(right),
        )

    frequency_K = np.bincount(real_M, minlength=len(names)) / len(real_M)
    precision = fraction("nearest real image of the class", nearest_N == target_N)
    scores = [
        fraction("class agreement", found_N == target_N),
        fraction("of real images (ceiling)", right_M),
        fraction("of shuffled items (floor)", found_N == floor_N),
        Score(**{**vars(precision), "chance": float(frequency_K[target_N].mean())}),
    ]
    if len(real) > 1:
        distance = kernel_distance(seen_ND, real_MD)
        scores.append(Score(task=task, metric="kernel distance", value=distance, chance=0.0))
    if each > 1:
        spread = diversity(seen_ND.reshape(len(labels), each, -1))
        scores.append(Score(task=task, metric="diversity", value=spread, chance=0.0))
    return scores
