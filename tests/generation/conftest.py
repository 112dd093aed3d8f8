"""A decoder that draws at once: what it draws shows what it was asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from openbind.generation.decoder import Progress, image_seeds, report


@dataclass(frozen=True)
class Painter:
    """Fills images with noise whose mean depends on the vector."""

    dim: int = 8
    accepts: str = "painted"

    def draw(
        self,
        vectors_BE: np.ndarray,
        *,
        modality: str | None,
        n: int,
        seed: int,
        steps: int | None,
        guidance: float | None,
        progress: Progress | None,
    ) -> list[list[Image.Image]]:
        total = steps or 3
        for done in range(1, total + 1):
            report(progress, done, total)
        return [[self._paint(row_E, each) for each in image_seeds(seed, n)] for row_E in vectors_BE]

    def _paint(self, row_E: np.ndarray, seed: int) -> Image.Image:
        noise = np.random.default_rng(seed).normal(128 + 100 * row_E[0], 9, (16, 16, 3))
        return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


@pytest.fixture
def painter() -> Painter:
    """The decoder."""
    return Painter()
