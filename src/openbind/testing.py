"""Contract of modalities, to be tested for those of plug-ins too.

Call `check_modality` from a test; it raises AssertionError with the violation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import View
from openbind.space.space import Space

SAME = 2e-5
"""Maximum difference of an element between two computations of the same vector in float32."""
HALF_COSINE = 0.99
"""Minimum cosine similarity between a vector in bfloat16 and in float32."""


def check_modality(
    space: Space, modality: str, forms: Sequence[Sequence[Any]], bad: Sequence[Any]
) -> None:
    """Check the contract of a modality.

    - Vectors are float32 rows of unit length, equal at every call.
    - All forms of an item (path, bytes, array, ...) have the same vector.
    - Vectors don't depend on the other items, their order, or the batch size.
    - Inputs aren't modified.
    - Vectors in bfloat16 are nearly the same.
    - Unusable items raise `InputError`, and nothing else.
    - Thumbnails are RGB images of at most the requested size.
    - Views read together equal views read one by one, and the whole view equals the item.

    Args:
        space: has the modality.
        modality: its name.
        forms: at least two different items, each in several forms.
        bad: unusable items.

    Raises:
        AssertionError: the violation.
    """
    assert len(forms) >= 2, "expected two different items or more"
    _check_forms(space, modality, forms)
    _check_batches(space, modality, [group[0] for group in forms])
    _check_unchanged(space, modality, [form for group in forms for form in group])
    _check_bfloat16(space, modality, forms[0][0])
    _check_thumbnails(modality, [form for group in forms for form in group])
    _check_views(space, modality, [group[0] for group in forms])
    for item in bad:
        _check_refused(space, modality, item)


def _check_forms(space: Space, modality: str, forms: Sequence[Sequence[Any]]) -> None:
    vectors_of_items = []
    for group in forms:
        vectors = space.encode(modality, list(group))
        assert vectors.shape == (len(group), space.dim), f"shape {vectors.shape}"
        assert vectors.dtype == np.float32, f"type {vectors.dtype}"
        lengths = np.linalg.norm(vectors, axis=1)
        assert np.allclose(lengths, 1, atol=1e-5), f"lengths {lengths}"
        spread = np.abs(vectors - vectors[0]).max(axis=1)
        assert (spread <= SAME).all(), f"forms of one item differ by {spread}"
        vectors_of_items.append(vectors[0])
    assert np.abs(vectors_of_items[0] - vectors_of_items[1]).max() > SAME, (
        "two different items have the same vector"
    )


def _check_batches(space: Space, modality: str, items: list[Any]) -> None:
    together = space.encode(modality, items)
    assert np.array_equal(together, space.encode(modality, items)), "two calls differ"
    for batch_size in (1, 2):
        reversed_back = space.encode(modality, items[::-1], batch_size=batch_size)[::-1]
        difference = np.abs(reversed_back - together).max()
        assert difference <= SAME, f"other items change a vector by {difference}"
    assert space.encode(modality, []).shape == (0, space.dim), "expected no rows for an empty list"


def _check_unchanged(space: Space, modality: str, items: list[Any]) -> None:
    before = copy.deepcopy(items)
    space.preprocess(modality, items[:1])
    space.encode(modality, items)
    for item, original in zip(items, before, strict=True):
        assert _equal(item, original), f"encoding modified a {type(item).__name__}"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple | list):
        return all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if hasattr(a, "__array__"):
        return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
    return bool(a == b)


def _check_bfloat16(space: Space, modality: str, item: Any) -> None:
    tower = space.config.modalities[modality].tower
    half = copy.deepcopy(space.towers[tower]).to(torch.bfloat16)
    other = Space(space.config, {**space.towers, tower: half}, space.card, space.folder)
    cosine = float(space.encode(modality, item) @ other.encode(modality, item))
    assert cosine >= HALF_COSINE, f"cosine similarity of bfloat16 to float32 is {cosine:.4f}"


def _check_refused(space: Space, modality: str, item: Any) -> None:
    try:
        space.encode(modality, [item])
    except InputError:
        return
    raise AssertionError(f"{item!r} was embedded; expected an InputError")


def _check_thumbnails(modality: str, items: list[Any]) -> None:
    thumbnail = MODALITIES.get(modality).thumbnail
    if thumbnail is None:
        return
    for item in items:
        image = thumbnail(item, (64, 48))
        assert image.mode == "RGB", f"thumbnail in mode {image.mode}"
        assert image.width <= 64, f"thumbnail {image.width} pixels wide"
        assert image.height <= 48, f"thumbnail {image.height} pixels high"


def _check_views(space: Space, modality: str, items: list[Any]) -> None:
    spec = MODALITIES.get(modality)
    views = [View(), View(box=(0.0, 0.0, 0.5, 0.5)), View(flip=True), View()]
    if spec.apply_view is None:
        views = [View()] * 2
    for item in items:
        whole = space.preprocess(modality, [item])
        parts = [space.preprocess(modality, [part]) for part in spec.read_views(item, views)]
        assert len(parts) == len(views), f"{len(views)} views became {len(parts)} items"
        for view, part in zip(views, parts, strict=True):
            (single,) = (space.preprocess(modality, [p]) for p in spec.read_views(item, [view]))
            assert torch.equal(part, single), f"{view} depends on the views before it"
            assert view != View() or torch.equal(part, whole), "the whole view isn't the item"
