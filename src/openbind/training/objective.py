"""The loss that binds two modalities: symmetric InfoNCE."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def info_nce(
    query_QE: torch.Tensor,
    items_KE: torch.Tensor,
    scale: torch.Tensor | float,
    target_Q: torch.Tensor | None = None,
) -> torch.Tensor:
    """Contrast each query with all items, and each matched item with all queries.

    With q_i the queries, k_j the items, t(i) the item of query i and s the scale (1 / temperature):

        L(q, k) = −1/Q Σ_i log( exp(s q_i·k_t(i)) / Σ_j exp(s q_i·k_j) )
        loss    = ( L(q, k) + L(k, q) ) / 2

    This is ImageBind's L_{I,M} + L_{M,I} (Girdhar et al. 2023, arXiv:2305.05665, section 3.1,
    equation 1), halved as in CLIP so that its size does not depend on the symmetry. Both sides must
    be of unit length already: the paper's temperature assumes cosines.

    Several queries may share an item: in the reverse direction all of an item's queries are its
    matches, and their log-probabilities are averaged. Items without a query are negatives alone.

    Args:
        query_QE: unit vectors.
        items_KE: unit vectors.
        scale: 1 / temperature, greater than 0; a tensor may be learned.
        target_Q: int64, the index of each query's item; by default query i belongs to item i.

    Returns:
        the loss, a scalar tensor.

    Raises:
        ValueError: the widths differ, or no target is given and the numbers of rows differ.
    """
    if query_QE.shape[1] != items_KE.shape[1]:
        raise ValueError(f"queries are {query_QE.shape[1]} wide, items {items_KE.shape[1]}")
    if target_Q is None:
        if len(query_QE) != len(items_KE):
            raise ValueError(
                f"{len(query_QE)} queries and {len(items_KE)} items: say which item is whose"
            )
        target_Q = torch.arange(len(query_QE), device=query_QE.device)
    logits_QK = scale * (query_QE @ items_KE.T)
    forward = F.cross_entropy(logits_QK, target_Q)
    log_share_QK = logits_QK.log_softmax(dim=0)
    matched_Q = log_share_QK.gather(1, target_Q[:, None]).squeeze(1)
    queries_per_item_K = torch.bincount(target_Q, minlength=len(items_KE))
    num_matched_items = (queries_per_item_K > 0).sum()
    backward = -(matched_Q / queries_per_item_K[target_Q]).sum() / num_matched_items
    return (forward + backward) / 2
