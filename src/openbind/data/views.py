"""Views: the part of an item that both sides of a pair show, drawn from a plan."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.data.table import Anchor
from openbind.errors import ConfigError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import View

Box = tuple[float, float, float, float]

ViewKey = tuple[int, int] | None
"""(index of a frozen item, index of its view); None is the whole item, for every frozen item."""

TRIES = 10
"""Boxes drawn until one lies within the image, as torchvision does."""


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """Which parts of items are shown; the defaults show whole items, once.

    Args:
        count: views of each frozen item.
        crop: range of a crop's area as a fraction of the image's, in (0, 1]; None doesn't crop.
        ratio: range of a crop's aspect ratio (width / height), relative to the image's: 1 keeps
            the image's own.
        flip: probability of a horizontal flip.
        seconds: length of a random excerpt of audio, video or IMU data (the paper's temporal
            jitter); None takes the whole recording.
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
            raise ValueError(f"crop: expected fractions 0 < min <= max <= 1, found {self.crop}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio: expected 0 < min <= max, found {self.ratio}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: expected a probability in [0, 1], found {self.flip}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds: expected more than 0, found {self.seconds}")

    @property
    def is_whole(self) -> bool:
        """Return whether every view shows the whole item."""
        return self.crop is None and not self.flip and self.seconds is None


def anchor_view(anchor: Anchor, plan: ViewPlan, seed: int, index: int) -> View:
    """Draw one view of a frozen item: the same for its cached embedding and for its partner.

    Args:
        anchor: the frozen item.
        plan: distribution of views.
        seed: of the run.
        index: of the view.
    """
    return draw_view(plan, view_rng(seed, anchor.key, index), anchor.span)


def apply_view(modality: str, item: Any, view: View) -> Any:
    """Return the part of an opened item that a view shows, as input for preprocessing.

    Raises:
        ConfigError: the modality doesn't support parts, but the view isn't the whole item.
        InputError: the item can't be read.
    """
    spec = MODALITIES.get(modality)
    if spec.apply_view is None:
        if view == View():
            return item
        raise ConfigError(f"views: {modality} items have no parts; remove crop, flip and seconds")
    return spec.apply_view(item, view)


def draw_view(
    plan: ViewPlan, rng: np.random.Generator, span: tuple[float, float] | None = None
) -> View:
    """Draw a view.

    Args:
        plan: distribution of views.
        rng: used for this view only.
        span: seconds (start, end) of the recording that the pair covers.
    """
    box = None if plan.crop is None else _draw_box(plan.crop, plan.ratio, rng)
    flip = bool(plan.flip) and bool(rng.random() < plan.flip)
    moment = View.moment if plan.seconds is None else float(rng.random())
    return View(box=box, flip=flip, span=span, seconds=plan.seconds, moment=moment)


def _draw_box(
    crop: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> Box:
    """Draw (top, left, height, width) as fractions, like torchvision's RandomResizedCrop.

    The area is uniform, the aspect ratio log-uniform. Since the image's size isn't known, it is
    treated as square: a box of ratio 1 has the aspect ratio of the image.
    """
    for _ in range(TRIES):
        area = rng.uniform(*crop)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        height, width = math.sqrt(area / shape), math.sqrt(area * shape)
        if height <= 1 and width <= 1:
            return (rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)
    # The largest central box of an allowed ratio.
    shape = min(max(1.0, ratio[0]), ratio[1])
    height, width = min(1.0, 1 / shape), min(1.0, shape)
    return ((1 - height) / 2, (1 - width) / 2, height, width)


def view_rng(seed: int, key: str, index: int) -> np.random.Generator:
    """Return a generator that depends only on its arguments, on every machine.

    Args:
        seed: of the run.
        key: name of what is drawn.
        index: of its view, step or pass.
    """
    digest = hashlib.blake2b(f"{seed}/{index}/{key}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
