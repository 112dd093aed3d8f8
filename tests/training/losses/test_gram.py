"""GRAM equals its definition by determinants; gradients are those of one process with all."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from openbind.training.losses.gram import gram, volumes


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(values, dim=-1)


def determinant_volumes(query_QE: np.ndarray, items_KME: np.ndarray) -> np.ndarray:
    """The definition: the root of the Gram determinant of a query and an item's vectors."""
    rows = []
    for query in query_QE:
        spans = [np.vstack([query, item]) for item in items_KME]
        rows.append([np.sqrt(np.linalg.det(span @ span.T)) for span in spans])
    return np.array(rows)


def test_volumes() -> None:
    """Volumes are roots of determinants, of three vectors and of more; 0 for dependent ones."""
    for modalities in (1, 2, 3):
        query_QE, items_KME = unit(5, 8), unit(4, modalities, 8, seed=1)
        expected = determinant_volumes(query_QE.numpy(), items_KME.numpy())
        np.testing.assert_allclose(volumes(query_QE, items_KME), expected, atol=2e-5)
    query = F.normalize(items_KME[:, :2].sum(dim=1), dim=-1)
    assert (volumes(query, items_KME[:, :2]).diagonal() < 2e-3).all()
    same = volumes(query[:1], query[:1, None].expand(1, 2, 8))
    assert torch.isfinite(same).all()


def test_loss() -> None:
    """The loss is the mean of both cross entropies of negated volumes."""
    query_QE, items_KME = unit(5, 8), unit(4, 2, 8, seed=1)
    target_Q = torch.tensor([2, 0, 1, 2, 3])
    logits_QK = -10 * determinant_volumes(query_QE.numpy(), items_KME.numpy())
    terms = []
    for query, item in enumerate(target_Q.tolist()):
        own = logits_QK[query, item]
        terms.append(np.log(np.exp(logits_QK[query]).sum()) - own)
        terms.append(np.log(np.exp(logits_QK[:, item]).sum()) - own)
    found = gram(query_QE, items_KME, 10.0, target_Q)
    np.testing.assert_allclose(found, np.sum(terms) / 10, rtol=1e-4)


def test_gradient() -> None:
    """Gradients are right, with excluded pairs too; all queries of an item may be excluded."""
    query_QE, items_KME = unit(4, 6).requires_grad_(), unit(3, 2, 6, seed=1)
    target_Q = torch.tensor([0, 1, 1, 0])
    for excluded in (None, (torch.tensor([0, 1, 2, 3]), torch.tensor([2, 2, 2, 2]))):
        assert torch.autograd.gradcheck(
            lambda q, e=excluded: gram(q, items_KME, 5.0, target_Q, excluded=e), query_QE
        )


def test_processes() -> None:
    """Two processes with half of the queries each have the loss and gradients of one."""
    query_QE, items_KME = unit(6, 8), unit(4, 2, 8, seed=1)
    target_Q = torch.tensor([0, 1, 1, 3, 0, 2])
    whole = query_QE.clone().requires_grad_()
    loss = gram(whole, items_KME, 10.0, target_Q)
    loss.backward()
    assert whole.grad is not None
    sent: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for _ in range(4):  # each pass fills in what one more exchange needs
        for rank in (0, 1):
            mine, count = sent[rank], 0

            def gather(x: torch.Tensor, rank: int = rank) -> torch.Tensor:
                nonlocal count
                other, own = sent[1 - rank], sent[rank]
                own[count:] = [x.detach()]
                theirs = other[count] if count < len(other) else x.detach()
                count += 1
                return torch.stack([x.detach(), theirs] if rank == 0 else [theirs, x.detach()])

            part = query_QE[rank * 3 :][:3].clone().requires_grad_()
            found = gram(part, items_KME, 10.0, target_Q[rank * 3 :][:3], gather)
            (gradient,) = torch.autograd.grad(found, part)
            assert mine is sent[rank]
    torch.testing.assert_close(found, loss)
    # DDP and FSDP take the mean over processes.
    torch.testing.assert_close(gradient / 2, whole.grad[3:])
