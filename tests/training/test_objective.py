"""Invariants of the loss: it equals the formula, and its gradient pulls matches together."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from openbind.training.objective import info_nce


def unit_rows(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 16, generator=generator, dtype=torch.float64), dim=1)


def test_equals_the_formula_written_out() -> None:
    """The loss of a batch is the paper's sum, spelled out element by element."""
    query_QE, items_KE, scale = unit_rows(5, 0), unit_rows(5, 1), 7.0
    expected = 0.0
    for a, b in ((query_QE, items_KE), (items_KE, query_QE)):
        for i in range(5):
            scores = [math.exp(scale * float(a[i] @ b[j])) for j in range(5)]
            expected -= math.log(scores[i] / sum(scores)) / 5 / 2
    assert float(info_nce(query_QE, items_KE, scale)) == pytest.approx(expected, abs=1e-12)


def test_equal_vectors_give_the_chance_level() -> None:
    """If nothing can be told apart, the loss is log K."""
    same = unit_rows(1, 0).expand(6, -1)
    assert float(info_nce(same, same, 20.0)) == pytest.approx(math.log(6), abs=1e-12)


def test_is_symmetric_and_order_does_not_matter() -> None:
    """Swapping the sides, or permuting pairs, changes nothing."""
    query_QE, items_KE = unit_rows(6, 2), unit_rows(6, 3)
    loss = info_nce(query_QE, items_KE, 5.0)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(info_nce(items_KE, query_QE, 5.0), loss)
    torch.testing.assert_close(info_nce(query_QE[order], items_KE[order], 5.0), loss)


def test_target_says_which_item_is_whose() -> None:
    """Permuted items with their permutation as target give the loss of the pairs in order."""
    query_QE, items_KE = unit_rows(6, 4), unit_rows(6, 5)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    expected = info_nce(query_QE, items_KE, 5.0)
    torch.testing.assert_close(info_nce(query_QE, items_KE[order], 5.0, order.argsort()), expected)


def test_queries_may_share_an_item() -> None:
    """An item's queries are averaged in the reverse direction; items of no query only repel."""
    query_QE, items_KE, scale = unit_rows(3, 6), unit_rows(4, 7), 3.0
    logits_QK = scale * query_QE @ items_KE.T
    forward = -logits_QK.log_softmax(1)[[0, 1, 2], [2, 0, 2]].mean()
    share_QK = logits_QK.log_softmax(0)
    backward = -(share_QK[1, 0] + (share_QK[0, 2] + share_QK[2, 2]) / 2) / 2
    loss = info_nce(query_QE, items_KE, scale, torch.tensor([2, 0, 2]))
    torch.testing.assert_close(loss, (forward + backward) / 2)


def test_descending_brings_matches_together() -> None:
    """Following the gradient raises every match's rank to first, also through a learned scale."""
    items_KE = unit_rows(8, 8)
    free = unit_rows(8, 9).requires_grad_()
    log_scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free, log_scale], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        info_nce(F.normalize(free, dim=1), items_KE, log_scale.exp()).backward()
        optimizer.step()
    assert torch.equal((free @ items_KE.T).argmax(1), torch.arange(8))
    assert float(log_scale.detach()) > 2.0


def test_mismatched_sides_are_refused() -> None:
    """Different widths, or different counts without a target, raise ValueError."""
    with pytest.raises(ValueError, match="16 wide"):
        info_nce(unit_rows(2, 0), torch.eye(2, dtype=torch.float64), 1.0)
    with pytest.raises(ValueError, match="which item"):
        info_nce(unit_rows(2, 0), unit_rows(3, 0), 1.0)
