"""Blank networks need no memory, no time, and no compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from openbind.model.blank import blank_weights


def test_weights_are_shapes_only() -> None:
    """All weights are on the meta device, with the usual shapes."""
    with blank_weights():
        blank = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 2))
    full = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 2))
    assert all(parameter.is_meta for parameter in blank.parameters())
    assert [p.shape for p in blank.parameters()] == [p.shape for p in full.parameters()]


def test_initial_weights_are_drawn_outside() -> None:
    """Outside the context initial weights are drawn."""
    with blank_weights():
        pass
    assert torch.nn.Linear(4, 2).weight.abs().sum() > 0


@pytest.mark.slow
def test_compiler_is_not_imported() -> None:
    """Building an embedding blank doesn't import torch._dynamo."""
    code = (
        "import sys, torch\nfrom openbind.model.blank import blank_weights\n"
        "with blank_weights(): torch.nn.Embedding(9, 4)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
