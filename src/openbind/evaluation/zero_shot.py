"""Zero-shot classification: nearest label embedding, without training on the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.modalities import TEXT
from openbind.space.space import Space


def fill_template(template: str, label: str) -> str:
    """Return a prompt template with the label in it.

    Args:
        template: contains exactly one `{}`, and no other braces.
        label: inserted unchanged; braces in it are plain characters.

    Raises:
        InputError: the template has no `{}`, several, or other braces.
    """
    if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
        raise InputError(
            f"template {template!r}", "expected exactly one {} for the label and no other braces"
        )
    return template.replace("{}", label)


def label_vectors(
    embedder: Embedder, labels: Sequence[str], templates: Sequence[str] = ("{}",)
) -> np.ndarray:
    """Embed each label as the mean of its prompts (paper, appendix B; CLIP's prompt ensembles).

    Args:
        embedder: embeds in a space with a text tower.
        labels: class names.
        templates: prompt templates, see `fill_template`.

    Returns:
        (labels, dim) float32, unit rows.

    Raises:
        InputError: a template is malformed, or a prompt is empty.
    """
    prompts = [[fill_template(template, label) for template in templates] for label in labels]
    return embedder.embed_prompts(prompts)


def class_probabilities(
    space: Space, modality: str, vectors_NE: np.ndarray, label_vectors_KE: np.ndarray
) -> np.ndarray:
    """Return the softmax of the scaled cosines between items and labels.

    The scale is the larger of the two modalities' scales. The reference multiplies both; for two
    modalities that were never trained together that product is a temperature nobody trained, and
    one label gets all the probability.

    Args:
        space: its config holds the scales.
        modality: of the items.
        vectors_NE: unit vectors of the items.
        label_vectors_KE: unit vectors of the labels, see `label_vectors`.

    Returns:
        (items, labels) float32, rows sum to 1.
    """
    scale = max(space.config.modalities[name].scale for name in (modality, TEXT))
    logits_NK = scale * (vectors_NE @ label_vectors_KE.T).astype(np.float64)
    exps_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(exps_NK / exps_NK.sum(axis=1, keepdims=True), dtype=np.float32)


def classify(
    space: Space,
    modality: str,
    items: Any,
    labels: Sequence[str],
    templates: Sequence[str] = ("{}",),
) -> np.ndarray:
    """Encode items and return the probability of each label for each of them.

    Args:
        space: embeds both sides.
        modality: of the items.
        items: as for `space.encode`: items, never vectors. A square depth map as wide as the space
            is one item; for vectors there is `class_probabilities`.
        labels: class names.
        templates: prompt templates, see `fill_template`.

    Returns:
        (items, labels) float32, rows sum to 1.

    Raises:
        InputError: an item or a template can't be used.
    """
    label_vectors_KE = label_vectors(Embedder(space), labels, templates)
    vectors_NE = np.atleast_2d(space.encode(modality, items))
    return class_probabilities(space, modality, vectors_NE, label_vectors_KE)
