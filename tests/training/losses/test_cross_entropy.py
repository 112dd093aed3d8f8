"""Cross entropy of queries among items is that of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.training.losses.cross_entropy import cross_entropy


def unit_rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 8, generator=generator, dtype=torch.float64), dim=1)


def test_equals_the_classifier() -> None:
    """Loss and gradients are those of torch's cross entropy, without what is excluded."""
    target_Q = torch.tensor([2, 0, 2])
    for excluded in (None, (torch.tensor([0, 2]), torch.tensor([1, 3]))):
        found, expected = unit_rows(3, 0).requires_grad_(), unit_rows(3, 0).requires_grad_()
        scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
        cross_entropy(found, unit_rows(4, 1), scale, target_Q, excluded=excluded).backward()
        other = scale.detach().clone().requires_grad_()
        logits_QK = other * expected @ unit_rows(4, 1).T
        if excluded is not None:
            logits_QK = logits_QK.index_put(excluded, torch.tensor(-torch.inf).double())
        F.cross_entropy(logits_QK, target_Q).backward()
        torch.testing.assert_close(found.grad, expected.grad)
        torch.testing.assert_close(scale.grad, other.grad)
