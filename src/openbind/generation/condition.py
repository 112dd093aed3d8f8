"""From unit vectors of a space to what a large decoder was trained on.

Large decoders were trained on raw image vectors of their encoder: of a certain length, and of
images alone. Unit vectors as they are give images that hardly depend on them (BindDiffusion's
notebook and Anything2Image scale them to about 20), and other modalities lie beside the images by
about the difference of the means, which is removed first (C3, arXiv 2401.08567).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openbind.errors import InputError
from openbind.generation.bridge import Bridge

NORM = 20.0
"""Assumed length of raw image vectors where it can't be measured."""
SUM_NOISE, OTHER_NOISE = 100, 200
"""Noise level, of 1000, for sums and for other modalities than images."""

MeanOf = Callable[[str], "np.ndarray | None"]
"""Modality → (dim,) difference of the images' mean and its mean; None where it isn't known."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Prepares vectors of a space for a decoder.

    Args:
        dim: of the vectors.
        norm: median length of the raw image vectors of the decoder's encoder.
        images: modalities whose vectors are those of images.
        gap: returns what moves a modality's vectors to the images.
        bridge: to the decoder's encoder; None if the space's image side is that encoder.
    """

    dim: int
    norm: float = NORM
    images: frozenset[str] = frozenset()
    gap: MeanOf = lambda modality: None
    bridge: Bridge | None = None

    def raw(self, vectors_BE: np.ndarray, modality: str | None) -> np.ndarray:
        """Return raw vectors of the decoder's encoder, (batch, its dim) float32 of length `norm`.

        Raises:
            InputError: a vector that is opposite to the gap has no direction left.
        """
        gap_E = None if modality is None or modality in self.images else self.gap(modality)
        moved = vectors_BE if gap_E is None else vectors_BE + gap_E
        if self.bridge is not None:
            moved = self.bridge.apply(_unit(moved))
        return np.asarray(self.norm * _unit(moved), np.float32)

    def noise_level(self, modality: str | None) -> int:
        """Return how much noise hides what isn't like images, from 0 to 999."""
        if modality is None:
            return SUM_NOISE
        return 0 if modality in self.images else OTHER_NOISE


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    if (lengths < 1e-6).any():
        raise InputError("vectors", "one has no direction beside the mean of its modality")
    return np.asarray(rows / lengths)
