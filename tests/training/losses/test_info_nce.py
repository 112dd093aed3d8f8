"""InfoNCE is the formula of the paper, in both directions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.training.losses.info_nce import info_nce


def unit_rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 16, generator=generator, dtype=torch.float64), dim=1)


def test_equals_the_formula() -> None:
    """The loss is the paper's sum, written out element by element."""
    query_QE, items_KE, scale = unit_rows(5, 0), unit_rows(5, 1), 7.0
    expected = 0.0
    for a, b in ((query_QE, items_KE), (items_KE, query_QE)):
        for i in range(5):
            scores = [math.exp(scale * float(a[i] @ b[j])) for j in range(5)]
            expected -= math.log(scores[i] / sum(scores)) / 5 / 2
    assert float(info_nce(query_QE, items_KE, scale)) == pytest.approx(expected, abs=1e-12)


def test_chance_level() -> None:
    """Equal vectors have a loss of log K."""
    same = unit_rows(1, 0).expand(6, -1)
    assert float(info_nce(same, same, 20.0)) == pytest.approx(math.log(6), abs=1e-12)


def test_symmetry() -> None:
    """Swapping the sides, or permuting the pairs, changes nothing."""
    query_QE, items_KE = unit_rows(6, 2), unit_rows(6, 3)
    loss = info_nce(query_QE, items_KE, 5.0)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(info_nce(items_KE, query_QE, 5.0), loss)
    torch.testing.assert_close(info_nce(query_QE[order], items_KE[order], 5.0), loss)
    expected = info_nce(query_QE, items_KE[order], 5.0, order.argsort())
    torch.testing.assert_close(expected, loss)


def test_shared_items() -> None:
    """An item's queries are averaged in reverse; items without a query are negatives only."""
    query_QE, items_KE, scale = unit_rows(3, 6), unit_rows(4, 7), 3.0
    logits_QK = scale * query_QE @ items_KE.T
    forward = -logits_QK.log_softmax(1)[[0, 1, 2], [2, 0, 2]].mean()
    share_QK = logits_QK.log_softmax(0)
    backward = -(share_QK[1, 0] + (share_QK[0, 2] + share_QK[2, 2]) / 2) / 2
    loss = info_nce(query_QE, items_KE, scale, torch.tensor([2, 0, 2]))
    torch.testing.assert_close(loss, (forward + backward) / 2)
