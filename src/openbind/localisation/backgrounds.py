"""What maps of images that have nothing to do with a query look like: how high chance reaches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from openbind.atomic import atomic_path

IMAGES = 32
"""Unrelated images, at most."""
CELLS = 32
"""Cells that are kept of each: those that differ most."""
DEVIATIONS = 1.645
"""Of the normal distribution's 95 %: so many standard deviations above the mean of the peaks."""
NAME = "cells_KND"


@dataclass(frozen=True, eq=False)
class Backgrounds:
    """Cells of unrelated images.

    Args:
        cells_KND: (images, cells, D) float32.
    """

    cells_KND: torch.Tensor

    def threshold(self, query_E: np.ndarray) -> float:
        """Return the heat that the hottest cell of 95 % of unrelated images doesn't reach.

        Query and image are a shuffled pair: whatever the query's modality, its own peaks on images
        of other things say how high chance reaches.
        """
        query_D = torch.from_numpy(np.ascontiguousarray(query_E[: self.cells_KND.shape[-1]]))
        peaks_K = (self.cells_KND @ query_D).amax(dim=1)
        return float(peaks_K.mean() + DEVIATIONS * peaks_K.std(unbiased=False))

    def save(self, path: Path) -> None:
        """Write the cells, rounded to half precision."""
        with atomic_path(path) as temporary:
            save_file({NAME: self.cells_KND.half().contiguous()}, temporary)

    @classmethod
    def load(cls, path: Path) -> Backgrounds:
        """Read what `save` has written."""
        return cls(load_file(path)[NAME].float())


def choose_cells(cells_HWD: torch.Tensor) -> torch.Tensor:
    """Return the `CELLS` cells of an image that differ most, cells_ND; of fewer some repeat.

    Each next one is the farthest from those chosen, the first is the longest.
    """
    cells_ND = cells_HWD.flatten(0, 1).float()
    chosen = [int(cells_ND.norm(dim=1).argmax())]
    far_N = (cells_ND - cells_ND[chosen[0]]).norm(dim=1)
    while len(chosen) < CELLS:
        chosen.append(int(far_N.argmax()))
        far_N = torch.minimum(far_N, (cells_ND - cells_ND[chosen[-1]]).norm(dim=1))
    return cells_ND[chosen]
