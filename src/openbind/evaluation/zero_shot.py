"""Classification by words, without training on the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openbind.encoding import unit_rows
from openbind.modalities import WORDS
from openbind.space import Space


def label_vectors(
    space: Space, labels: Sequence[str], templates: Sequence[str] = ("{}",)
) -> np.ndarray:
    """Embed each label as the mean of its prompts (paper, appendix B; CLIP's prompt ensembles).

    Args:
        space: has words among its modalities.
        labels: names of the classes.
        templates: each with one `{}` for the label.

    Returns:
        (labels, dim) float32, unit rows.
    """
    prompts = [template.format(label) for label in labels for template in templates]
    vectors = space.encode(WORDS, prompts).reshape(len(labels), len(templates), -1)
    return unit_rows(vectors.mean(axis=1))


def classify(
    space: Space,
    modality: str,
    items: Any,
    labels: Sequence[str],
    templates: Sequence[str] = ("{}",),
) -> np.ndarray:
    """Give each item a probability for each label: softmax of the scaled cosines.

    The scale is the larger one of the two modalities'. The reference multiplies both; for two
    that never met that is a temperature nobody trained, and one label gets everything.

    Args:
        space: embeds both sides.
        modality: of the items.
        items: as for `space.encode`, or vectors (n, dim).
        labels: names of the classes.
        templates: prompts, see `label_vectors`.

    Returns:
        (n, labels) float32, rows sum to 1.
    """
    words_KE = label_vectors(space, labels, templates)
    scale = max(space.config.modalities[name].scale for name in (modality, WORDS))
    logits_QK = scale * space.cosines(modality, items, WORDS, words_KE).astype(np.float64)
    shifted_QK = np.exp(logits_QK - logits_QK.max(axis=1, keepdims=True))
    return np.asarray(shifted_QK / shifted_QK.sum(axis=1, keepdims=True), dtype=np.float32)
