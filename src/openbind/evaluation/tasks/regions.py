"""Sounding regions: does the map of a sound over its image cover what people marked?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from openbind.evaluation.embedder import Embedder
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.results import Score, TaskResult
from openbind.evaluation.tasks.mosaics import area_under_curve
from openbind.evaluation.tasks.task import Task
from openbind.modalities import IMAGE
from openbind.space.locating import OpenImage

SIDE = 224
"""Pixels per side that maps and marks are compared at, as in the public evaluations."""
BETA_SQUARED = 0.3
"""Of the F-measure (AVSBench, arXiv 2207.05042)."""
Marks = Callable[[], np.ndarray]
"""Returns what people marked, (`SIDE`, `SIDE`) in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Regions(Task):
    """Sounds with images in which their sources are marked.

    Args:
        images: for each sound its image.
        marks: for each sound what is marked.
        image_modality: of the images.
        metric: "cIoU" (half of the image is predicted: success rate at 0.5, and the area under
            the success curve) or "mIoU" (what is above half of the map's range; with F).
    """

    images: Sequence[Any]
    marks: Sequence[Marks]
    image_modality: str = IMAGE
    metric: Literal["cIoU", "mIoU"] = "cIoU"

    per_item: ClassVar[tuple[str, ...]] = ("items", "images", "marks")

    def modalities(self) -> tuple[str, ...]:
        """Return the modality of the sounds, and that of the images."""
        return (self.modality, self.image_modality)

    def measure(self, embedder: Embedder) -> TaskResult:
        """Compare maps with marks; the control and the negatives are other items' sounds."""
        rows = embedder.embed(self.modality, self.items, self.settings)
        kept = rows.require_some()
        vectors_NE = rows.vectors_NE[kept]
        # Another item's sound: the next one's.
        others_NE = np.roll(vectors_NE, 1, axis=0)
        values: list[tuple[float, float]] = []
        control: list[tuple[float, float]] = []
        present: list[float] = []
        absent: list[float] = []
        for index, own_E, other_E in zip(kept, vectors_NE, others_NE, strict=True):
            opened = OpenImage(embedder.space, self.images[index], self.image_modality)
            marks_HW = self.marks[index]()
            for query_E, found, peaks in ((own_E, values, present), (other_E, control, absent)):
                where = opened.find(query_E)
                found.append(self._compare(where.over_image((SIDE, SIDE)), marks_HW))
                peaks.append(float(where.heat.max()))
        value = area_under_curve(np.array(present), np.array(absent))
        rejection = Score(
            task=self.name, metric="rejection AUC", value=value, chance=0.5, count=len(kept)
        )
        return TaskResult(
            scores=[*self._scores(np.array(values), np.array(control)), rejection],
            excluded=rows.errors,
        )

    def _compare(self, heat_HW: np.ndarray, marks_HW: np.ndarray) -> tuple[float, float]:
        if self.metric == "cIoU":
            return consensus_iou(heat_HW > np.nanmedian(heat_HW), marks_HW), 0.0
        middle = (np.nanmax(heat_HW) + np.nanmin(heat_HW)) / 2
        return mask_scores(heat_HW > middle, marks_HW > 0.5)

    def _scores(self, values_N2: np.ndarray, control_N2: np.ndarray) -> list[Score]:
        count = len(values_N2)
        if self.metric == "cIoU":
            value, chance = success(values_N2[:, 0]), success(control_N2[:, 0])
            interval: tuple[float, float] | None = fraction_interval(value, count)
            area, other = (area_of_success(found[:, 0]) for found in (values_N2, control_N2))
            second = ("AUC", area, other)
        else:
            value, chance = float(values_N2[:, 0].mean()), float(control_N2[:, 0].mean())
            interval = None
            second = ("F", float(values_N2[:, 1].mean()), float(control_N2[:, 1].mean()))
        first = Score(
            task=self.name,
            metric=self.metric,
            value=value,
            chance=chance,
            interval=interval,
            count=count,
        )
        name, number, by_chance = second
        return [
            first,
            Score(task=self.name, metric=name, value=number, chance=by_chance, count=count),
        ]


def consensus_iou(predicted_HW: np.ndarray, marks_HW: np.ndarray) -> float:
    """Return cIoU: marked and predicted over marked, and predicted where nothing is marked."""
    shared = float(marks_HW[predicted_HW].sum())
    extra = float((predicted_HW & (marks_HW == 0)).sum())
    return shared / max(float(marks_HW.sum()) + extra, 1e-12)


def mask_scores(predicted_HW: np.ndarray, marked_HW: np.ndarray) -> tuple[float, float]:
    """Return IoU and the F-measure of two masks."""
    shared = float((predicted_HW & marked_HW).sum())
    iou = shared / max(float((predicted_HW | marked_HW).sum()), 1.0)
    precision = shared / max(float(predicted_HW.sum()), 1.0)
    recall = shared / max(float(marked_HW.sum()), 1.0)
    f = (1 + BETA_SQUARED) * precision * recall / max(BETA_SQUARED * precision + recall, 1e-12)
    return iou, f


def success(values_N: np.ndarray, threshold: float = 0.5) -> float:
    """Return the fraction of values at or above a threshold."""
    return float((values_N >= threshold).mean())


def area_of_success(values_N: np.ndarray) -> float:
    """Return the area under the success rate over thresholds 0 to 1 in steps of .05."""
    rates = [success(values_N, threshold) for threshold in np.arange(21) * 0.05]
    return float((np.array(rates[1:]) + rates[:-1]).sum() * 0.025)


def boxes_to_marks(boxes: Sequence[Sequence[float]], annotators: int = 1) -> np.ndarray:
    """Return the marks of boxes (x0, y0, x1, y1) in [0, 1]; `annotators` must agree for 1."""
    marks_HW = np.zeros((SIDE, SIDE), np.float32)
    for box in boxes:
        x0, y0, x1, y1 = (round(min(max(edge, 0.0), 1.0) * SIDE) for edge in box)
        marks_HW[y0:y1, x0:x1] += 1 / annotators
    return marks_HW.clip(0, 1)
