"""Views: which parts of its items a pair is shown through, drawn from a plan."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from openbind.modalities.spec import View

Box = tuple[float, float, float, float]

TRIES = 10
"""Boxes drawn until one lies within the image, as torchvision does."""


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """What is shown of items; the defaults show all of them, once.

    Args:
        count: views of each item of the frozen side.
        crop: least and greatest share of a image's area, in (0, 1]; None shows all of it.
        ratio: least and greatest width of a crop over its height, both in shares of the image's:
            1 keeps the image's own shape.
        flip: probability that a view is mirrored.
        seconds: length of an excerpt of what lasts, put at a random moment (the paper's temporal
            jitter); None takes the whole.
    """

    count: int = 1
    crop: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: expected at least 1, found {self.count}")
        if self.crop is not None and not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop: expected shares 0 < least <= greatest <= 1, found {self.crop}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio: expected 0 < least <= greatest, found {self.ratio}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: expected a probability in [0, 1], found {self.flip}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds: expected more than 0, found {self.seconds}")


def draw_view(
    plan: ViewPlan, rng: np.random.Generator, span: tuple[float, float] | None = None
) -> View:
    """Draw a view.

    Args:
        plan: what may be drawn.
        rng: of this view alone.
        span: seconds (start, end) of the recording that the pair is about.
    """
    box = None if plan.crop is None else _draw_box(plan.crop, plan.ratio, rng)
    flip = bool(plan.flip) and bool(rng.random() < plan.flip)
    moment = View.moment if plan.seconds is None else float(rng.random())
    return View(box=box, flip=flip, span=span, seconds=plan.seconds, moment=moment)


def _draw_box(
    crop: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> Box:
    """Draw top, left, height and width as torchvision's RandomResizedCrop does, in shares.

    The area is uniform, the logarithm of the ratio too. Since the image's size isn't known, it
    counts as square; a box of ratio 1 has the shape of the image, not of a square.
    """
    for _ in range(TRIES):
        area = rng.uniform(*crop)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        height, width = math.sqrt(area / shape), math.sqrt(area * shape)
        if height <= 1 and width <= 1:
            return (rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)
    # The largest in the middle whose ratio is allowed.
    shape = min(max(1.0, ratio[0]), ratio[1])
    height, width = min(1.0, 1 / shape), min(1.0, shape)
    return ((1 - height) / 2, (1 - width) / 2, height, width)


def view_rng(seed: int, key: str, index: int) -> np.random.Generator:
    """Return the random numbers that belong to one thing of a run, the same on every machine.

    Args:
        seed: of the run.
        key: names the thing.
        index: which view, step or pass of it.
    """
    digest = hashlib.blake2b(f"{seed}/{index}/{key}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
