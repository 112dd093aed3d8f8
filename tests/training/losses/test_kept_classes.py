"""Kept classes are a classification by names with a classifier's probabilities as targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.training.losses.kept_classes import keep_classes


def case() -> tuple[Tensor, Tensor, Tensor]:
    """Four queries, five classes' names, and a classifier's logits."""
    generator = torch.Generator().manual_seed(0)
    query, names = (F.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (4, 5))
    return query, names, 3 * torch.randn(4, 5, generator=generator)


def test_equals_soft_targets() -> None:
    """The loss is torch's cross entropy with probabilities as targets."""
    query_QE, classes_CE, logits_QC = case()
    found = keep_classes(query_QE, classes_CE, logits_QC, 7.0)
    expected = F.cross_entropy(7 * query_QE @ classes_CE.T, logits_QC.softmax(dim=1))
    torch.testing.assert_close(found, expected)


def test_processes() -> None:
    """Each of two processes has the loss of all queries; gradients' mean is that of one process."""
    query_QE, classes_CE, logits_QC = case()
    whole_QE = query_QE.clone().requires_grad_()
    whole = keep_classes(whole_QE, classes_CE, logits_QC, 7.0)
    whole.backward()
    halves = [slice(0, 2), slice(2, 4)]
    own = [keep_classes(query_QE[h], classes_CE, logits_QC[h], 7.0) for h in halves]
    for half in halves:
        part_QE = query_QE[half].clone().requires_grad_()
        loss = keep_classes(
            part_QE, classes_CE, logits_QC[half], 7.0, gather=lambda _: torch.stack(own)
        )
        loss.backward()
        torch.testing.assert_close(loss, whole)
        # DDP takes the mean over the two processes.
        torch.testing.assert_close(part_QE.grad / 2, whole_QE.grad[half])
