"""Contract checks that every modality must pass, those of other packages too.

Call them from a test; they raise AssertionError with what doesn't hold.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.space.space import Space

SAME = 2e-5
"""Largest difference of an entry between two ways to the same vector, in float32."""
HALF_COSINE = 0.99
"""Smallest cosine between a vector in bfloat16 and in float32."""


def check_modality(
    space: Space, modality: str, forms: Sequence[Sequence[Any]], bad: Sequence[Any]
) -> None:
    """Hold a modality to the contract.

    - Vectors are float32 rows of unit length, and the same at every call.
    - All forms of an item (path, bytes, array, ...) give one vector.
    - Neighbors, order and batch size don't change a vector.
    - Inputs aren't changed.
    - bfloat16 gives nearly the same vector.
    - What can't be used raises `InputError`, and nothing else.
    - Every form is drawn as an RGB image of at most the size asked, if the modality draws.

    Args:
        space: has the modality.
        modality: its name.
        forms: for each of at least two different items, its forms.
        bad: items that can't be used.

    Raises:
        AssertionError: what doesn't hold.
    """
    assert len(forms) >= 2, "the contract needs two different items"
    _check_forms(space, modality, forms)
    _check_batches(space, modality, [group[0] for group in forms])
    _check_unchanged(space, modality, [form for group in forms for form in group])
    _check_half(space, modality, forms[0][0])
    _check_drawing(modality, [form for group in forms for form in group])
    for item in bad:
        _check_refused(space, modality, item)


def _check_forms(space: Space, modality: str, forms: Sequence[Sequence[Any]]) -> None:
    firsts = []
    for group in forms:
        vectors = space.encode(modality, list(group))
        assert vectors.shape == (len(group), space.dim), f"shape {vectors.shape}"
        assert vectors.dtype == np.float32, f"type {vectors.dtype}"
        lengths = np.linalg.norm(vectors, axis=1)
        assert np.allclose(lengths, 1, atol=1e-5), f"lengths {lengths}"
        spread = np.abs(vectors - vectors[0]).max(axis=1)
        assert (spread <= SAME).all(), f"forms of one item differ by {spread}"
        firsts.append(vectors[0])
    assert np.abs(firsts[0] - firsts[1]).max() > SAME, "two different items have one vector"


def _check_batches(space: Space, modality: str, items: list[Any]) -> None:
    together = space.encode(modality, items)
    assert np.array_equal(together, space.encode(modality, items)), "two calls differ"
    for batch_size in (1, 2):
        backwards = space.encode(modality, items[::-1], batch_size=batch_size)[::-1]
        difference = np.abs(backwards - together).max()
        assert difference <= SAME, f"neighbors change a vector by {difference}"
    assert space.encode(modality, []).shape == (0, space.dim), "an empty list has no rows"


def _check_unchanged(space: Space, modality: str, items: list[Any]) -> None:
    before = copy.deepcopy(items)
    space.preprocess(modality, items[:1])
    space.encode(modality, items)
    for item, was in zip(items, before, strict=True):
        assert _equal(item, was), f"{type(item).__name__} was changed by encoding it"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple | list):
        return all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if hasattr(a, "__array__"):
        return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
    return bool(a == b)


def _check_half(space: Space, modality: str, item: Any) -> None:
    tower = space.config.modalities[modality].tower
    half = copy.deepcopy(space.towers[tower]).to(torch.bfloat16)
    other = Space(space.config, {**space.towers, tower: half}, space.card, space.folder)
    cosine = float(space.encode(modality, item) @ other.encode(modality, item))
    assert cosine >= HALF_COSINE, f"bfloat16 has a cosine of {cosine:.4f} to float32"


def _check_refused(space: Space, modality: str, item: Any) -> None:
    try:
        space.encode(modality, [item])
    except InputError:
        return
    raise AssertionError(f"{item!r} was embedded, though it can't be used")


def _check_drawing(modality: str, items: list[Any]) -> None:
    draw = MODALITIES.get(modality).thumbnail
    if draw is None:
        return
    for item in items:
        image = draw(item, (64, 48))
        assert image.mode == "RGB", f"drawn as {image.mode}"
        assert image.width <= 64, f"drawn {image.width} wide"
        assert image.height <= 48, f"drawn {image.height} high"
