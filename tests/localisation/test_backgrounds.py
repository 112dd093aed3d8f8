"""Backgrounds: cells that differ, a threshold by the query's own peaks, a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openbind.localisation.backgrounds import CELLS, Backgrounds, choose_cells


def test_cells_that_differ() -> None:
    """Of a map of two kinds of cells both are kept."""
    cells = torch.zeros(8, 8, 4)
    cells[..., 0] = 1.0
    cells[3, 3] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    kept = choose_cells(cells)
    assert kept.shape == (CELLS, 4)
    assert len(kept.unique(dim=0)) == 2


def test_threshold() -> None:
    """Mean and deviation of the hottest cells of each image; a saved one says nearly the same."""
    cells = torch.zeros(3, 2, 4)
    cells[:, 1, 0] = torch.tensor([0.1, 0.2, 0.3])
    query = np.array([1.0, 0, 0, 0, 0], np.float32)
    expected = 0.2 + 1.645 * np.std([0.1, 0.2, 0.3])
    assert Backgrounds(cells).threshold(query) == pytest.approx(expected)


def test_file(tmp_path: Path) -> None:
    """Half precision."""
    one = Backgrounds(torch.rand(4, CELLS, 8))
    one.save(tmp_path / "a.safetensors")
    other = Backgrounds.load(tmp_path / "a.safetensors")
    assert torch.allclose(one.cells_KND, other.cells_KND, atol=1e-3)
