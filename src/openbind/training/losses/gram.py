"""GRAM: a contrast of three or more modalities by the volume that their vectors span."""

from __future__ import annotations

import torch
from torch import Tensor

from openbind.training.losses.chunked import Excluded, Gather, exclude, gather_alone
from openbind.training.losses.loss import Loss

LEAST = 1e-6
"""Least squared volume, whose root still has a finite gradient."""


def volumes(query_QE: Tensor, items_KME: Tensor) -> Tensor:
    """Compute the volume that each query spans with the vectors of each item: (Q, K).

    The root of the determinant of the vectors' Gram matrix (Cicchetti et al., ICLR 2025, arXiv
    2412.11959, equation 4): 0 where they are linearly dependent, 1 where they are orthogonal. By
    Schur's complement it is det G (1 − cᵀ G⁻¹ c), with G the Gram matrix of an item's own vectors
    and c their cosines with the query, so that no determinant is computed for each pair.

    Args:
        query_QE: unit vectors.
        items_KME: M unit vectors of each item, one for each of its modalities.
    """
    gram_KMM = items_KME @ items_KME.mT
    # Vectors of an item that are nearly the same leave a volume near 0, not a division by 0.
    gram_KMM = gram_KMM + LEAST * torch.eye(gram_KMM.shape[1]).to(gram_KMM)
    cosine_QKM = torch.einsum("qe,kme->qkm", query_QE, items_KME)
    solved_QKM = torch.einsum("qkm,kmn->qkn", cosine_QKM, torch.linalg.inv(gram_KMM))
    height_QK = 1 - (cosine_QKM * solved_QKM).sum(dim=-1)
    squared_QK: Tensor = torch.linalg.det(gram_KMM) * height_QK
    return squared_QK.clamp(min=LEAST).sqrt()


def gram(
    query_QE: Tensor,
    items_KME: Tensor,
    scale: Tensor | float,
    target_Q: Tensor,
    gather: Gather = gather_alone,
    excluded: Excluded | None = None,
) -> Tensor:
    """Compute GRAM's loss in both directions: InfoNCE whose logits are negated volumes.

    With V_ij the volume of query i and the vectors of item j, and t(i) the item of query i:

        L_forward  = −1/Q Σ_i log( exp(−s V_it(i)) / Σ_j exp(−s V_ij) )
        L_backward = −1/Q Σ_i log( exp(−s V_it(i)) / Σ_l exp(−s V_lt(i)) )
        loss       = ( L_forward + L_backward ) / 2

    (equations 5 and 6 there, with the trained modality as the anchor and all others frozen).

    Args:
        query_QE: unit vectors of this process.
        items_KME: unit vectors of each item, the same in all processes.
        scale: s, 1 / temperature; not learned, its gradient is this process's alone.
        target_Q: int64, the index of each query's item.
        gather: how processes exchange tensors; one process by default.
        excluded: pairs of a query and another of its positives, omitted from all sums.

    Returns:
        the loss of the queries of all processes, a scalar tensor. The mean over processes of its
        gradients at the queries is the gradient of one process with all queries.
    """
    dtype = torch.promote_types(query_QE.dtype, torch.float32)
    logits_QK = -scale * volumes(query_QE.to(dtype), items_KME.to(dtype))
    exclude(logits_QK, slice(0, len(logits_QK)), excluded)
    matched_Q = logits_QK.gather(1, target_Q[:, None])[:, 0]
    forward = (logits_QK.logsumexp(dim=1) - matched_Q).sum() - matched_Q.sum()
    own_K = logits_QK.logsumexp(dim=0)
    with torch.no_grad():
        counts_K = gather(target_Q.bincount(minlength=len(items_KME))).sum(dim=0)
        total_K = gather(own_K).logsumexp(dim=0)
        share_K = (own_K - total_K).exp()
    used_K = (counts_K > 0) & (own_K > -torch.inf)
    # The gradient of the sums over all queries at this process's own.
    moved = (counts_K * share_K * own_K)[used_K].sum()
    every = gather(torch.stack([forward, (counts_K * total_K)[counts_K > 0].sum()]).detach())
    value = (every[:, 0].sum() + every[0, 1]) / (2 * counts_K.sum())
    # DDP and FSDP take the mean over processes, where the sum is wanted.
    own = (forward + moved) * len(every) / (2 * counts_K.sum())
    return value + own - own.detach()


class Gram(Loss):
    """GRAM at the pair's temperature; items have a vector of each of their modalities."""

    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss; see `gram`. `items_KE` are items_KME, of M modalities."""
        return gram(query_QE, items_KE, self.scale, target_Q, gather, excluded)
