"""The loss that keeps what a tower's own classifier knows."""

from __future__ import annotations

import torch
from torch import Tensor

from openbind.training.losses.chunked import Gather, gather_alone


def keep_classes(
    query_QE: Tensor,
    classes_CE: Tensor,
    logits_QC: Tensor,
    scale: Tensor | float,
    gather: Gather = gather_alone,
) -> Tensor:
    """Compare naming by vectors with a classifier: learning without forgetting (1606.09282).

        loss = −1/Q Σ_i Σ_c p_ic log( exp(s q_i·n_c) / Σ_d exp(s q_i·n_d) )

    with q_i the queries, n_c the names of the classes, p_i the classifier's probabilities.

    Args:
        query_QE: unit vectors of this process; every process has as many.
        classes_CE: unit vectors of the names.
        logits_QC: of the classifier, which isn't trained.
        scale: s, 1 / temperature; not learned by this loss.
        gather: how processes exchange tensors; one process by default.

    Returns:
        the loss over the queries of all processes, a scalar tensor; its gradients are this
        process's, whose mean over processes is that of one with all queries.
    """
    named_QC = (query_QE @ classes_CE.to(query_QE).T * scale).log_softmax(dim=1)
    own = -(logits_QC.float().softmax(dim=1) * named_QC).sum(dim=1).mean()
    with torch.no_grad():
        others = gather(own.detach()).mean() - own.detach()
    return own + others
