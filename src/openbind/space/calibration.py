"""Calibration: how high a cosine is, measured against unrelated pairs.

Cosines of different pairs of modalities aren't comparable: unrelated images resemble each other
more than an image its text. In standard deviations above the mean of unrelated pairs they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    deviation: float
    high: float
    count: int

    def calibrate(self, cosines: np.ndarray) -> np.ndarray:
        """Return cosines in standard deviations above the mean, float32."""
        return np.asarray((cosines - self.mean) / self.deviation, np.float32)


def measure_unrelated(
    modalities: tuple[str, str], a_NE: np.ndarray, b_ME: np.ndarray, related_NM: np.ndarray
) -> Unrelated:
    """Measure the cosines of all pairs that aren't related.

    Args:
        modalities: of the two sets.
        a_NE, b_ME: unit vectors.
        related_NM: which pairs are related, and excluded.
    """
    cosines = (a_NE @ b_ME.T)[~related_NM].astype(np.float64)
    return Unrelated(
        modalities=modalities,
        mean=float(cosines.mean()),
        deviation=float(cosines.std()),
        high=float(np.quantile(cosines, HIGH)),
        count=len(cosines),
    )
