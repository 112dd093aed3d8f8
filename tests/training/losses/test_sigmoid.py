"""The sigmoid loss is SigLIP's formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.training.losses.sigmoid import sigmoid_loss


def unit_rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 16, generator=generator, dtype=torch.float64), dim=1)


def test_equals_the_formula() -> None:
    """The loss is SigLIP's sum over all pairs; both queries of an item are its positives."""
    query_QE, items_KE, target = unit_rows(3, 0), unit_rows(4, 1), [2, 0, 2]
    expected = 0.0
    for i in range(3):
        for j in range(4):
            z = 1 if target[i] == j else -1
            expected += math.log(1 + math.exp(-z * (7 * float(query_QE[i] @ items_KE[j]) - 2))) / 3
    loss = sigmoid_loss(query_QE, items_KE, 7.0, -2.0, torch.tensor(target))
    assert float(loss) == pytest.approx(expected, abs=1e-12)
