"""Towers compute in evaluation mode without gradients, and misfits are errors of the checkpoint."""

from __future__ import annotations

import pytest
import torch

from openbind.errors import CheckpointError
from openbind.space.inference import inferring, placed


def test_mode_comes_back() -> None:
    """Inside there are neither dropout nor gradients; after it the mode is the caller's."""
    tower = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    for training in (True, False):
        tower.train(training)
        with inferring(tower):
            assert not tower.training
            assert not tower(torch.ones(1, 4)).requires_grad
        assert tower.training == training


def test_ids_beyond_the_vocabulary() -> None:
    """A vocabulary of another tower is an error that says so, and the mode comes back."""
    tower = torch.nn.Embedding(3, 2).train()
    with pytest.raises(CheckpointError, match="doesn't fit this tower"), inferring(tower):
        tower(torch.tensor([3]))
    assert tower.training


def test_placed() -> None:
    """Numbers get the tower's precision, ids keep theirs."""
    tower = torch.nn.Linear(2, 2).to(torch.bfloat16)
    assert placed(torch.ones(2), tower).dtype == torch.bfloat16
    assert placed(torch.ones(2, dtype=torch.int64), tower).dtype == torch.int64
