"""Calibration: how high a cosine is, measured against unrelated pairs.

Cosines of different pairs of modalities aren't comparable: unrelated images resemble each other
more than an image its text. In standard deviations above the mean of unrelated pairs they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

import numpy as np

from openbind.configs import Range
from openbind.errors import InputError

HIGH = 0.99
"""Fraction of unrelated pairs below `Unrelated.high`."""


@dataclass(frozen=True, kw_only=True)
class Unrelated:
    """Cosines of unrelated pairs of two modalities.

    Args:
        modalities: of the pairs; their order doesn't matter.
        mean, deviation: of the cosines; the deviation is the standard deviation.
        high: 99 % of the cosines are below.
        count: of pairs.
    """

    modalities: tuple[str, str]
    mean: float
    deviation: Annotated[float, Range(1e-6, 2.0)]
    high: float
    count: int

    def calibrate(self, cosines: float | np.ndarray) -> np.ndarray:
        """Return cosines in standard deviations above the mean, float32."""
        return np.asarray((cosines - self.mean) / self.deviation, np.float32)

    def threshold(self, items: int = 1) -> float:
        """Return the deviations above which an item is close.

        Args:
            items: searched. Of up to 100 an unrelated one lies above with 1 % probability each;
                of more, about one of all: the largest of many is higher. The tail is a normal
                distribution's, stretched so that 99 % are below `high`.
        """
        high = (self.high - self.mean) / self.deviation
        normal = NormalDist()
        below = max(HIGH, 1 - 1 / max(items, 1))
        return high * normal.inv_cdf(below) / normal.inv_cdf(HIGH)


def combine_unrelated(parts: Sequence[tuple[np.ndarray, float, Unrelated]]) -> Unrelated:
    """Return what to expect of the weighted sum of several queries.

    The cosine of a sum is the sum of the parts' weighted cosines, divided by the length of the
    sum; cosines of similar parts vary together, by the cosine between these.

    Args:
        parts: unit vector (dim,), weight, and the cosines of unrelated pairs of the part's and the
            searched modality.

    Raises:
        InputError: no parts, or a zero sum.
    """
    length = _length([(vector_E, weight) for vector_E, weight, _ in parts])
    if length == 0:
        raise InputError("calibration", "expected parts with a sum that isn't zero")
    first = parts[0][2]
    if len(parts) == 1 and parts[0][1] > 0:
        return first
    mean = sum(weight * own.mean for _, weight, own in parts) / length
    spread = _length([(vector_E, w * own.deviation) for vector_E, w, own in parts])
    above = _length([(vector_E, w * (own.high - own.mean)) for vector_E, w, own in parts])
    return Unrelated(
        modalities=first.modalities,
        mean=mean,
        deviation=spread / length,
        high=mean + above / length,
        count=min(own.count for _, _, own in parts),
    )


def measure_unrelated(
    modalities: tuple[str, str], a_NE: np.ndarray, b_ME: np.ndarray, related_NM: np.ndarray
) -> Unrelated:
    """Measure the cosines of all pairs that aren't related.

    Args:
        modalities: of the two sets.
        a_NE, b_ME: unit vectors.
        related_NM: which pairs are related, and excluded.

    Raises:
        InputError: fewer than two pairs are left.
    """
    cosines = (a_NE @ b_ME.T)[~related_NM].astype(np.float64)
    if len(cosines) < 2:
        raise InputError("–".join(modalities), f"expected unrelated pairs, found {len(cosines)}")
    return Unrelated(
        modalities=modalities,
        mean=float(cosines.mean()),
        deviation=float(cosines.std()),
        high=float(np.quantile(cosines, HIGH)),
        count=len(cosines),
    )


def _length(parts: Sequence[tuple[np.ndarray, float]]) -> float:
    """Return the length of a weighted sum of vectors."""
    return float(np.linalg.norm(np.sum([weight * vector_E for vector_E, weight in parts], axis=0)))
