"""Vectors of the joint embedding: of clips with their times, unit length, weighted sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openbind.errors import InputError

UNIT_ERROR = 1e-2
"""How far the length of a vector may be from 1; rows rounded to bfloat16 stay within a third."""


class ClipVectors(np.ndarray):
    """Vectors of one item's clips, (clips, dim) float32, with the clips' `times`.

    Attributes:
        times: (start, end) of each clip in seconds; None for items without a duration.
    """

    times: tuple[tuple[float, float], ...] | None

    def __array_finalize__(self, source: object) -> None:
        self.times = getattr(source, "times", None)

    def mean_vector(self) -> np.ndarray:
        """Return the mean over clips as a unit vector (dim,); that of a single clip unchanged."""
        return np.asarray(self[0] if len(self) == 1 else unit_rows(self.mean(axis=0)))

    def find_defect(self, item: Any) -> InputError | None:
        """Return why they can't be kept, so that one bad item poisons no collection."""
        reason = None
        lengths = np.linalg.norm([*self.astype(np.float64), self.mean_vector()], axis=-1)
        if not np.isfinite(lengths).all():
            reason = "its vector has NaN or infinite numbers; look for absurd values in it"
        elif (np.abs(lengths - 1) > UNIT_ERROR).any():
            reason = "its vector has no direction: it is zero, or its clips cancel each other"
        return InputError(item, reason) if reason else None


def clip_vectors(
    vectors_SE: np.ndarray, times: tuple[tuple[float, float], ...] | None = None
) -> ClipVectors:
    """Attach the clips' times to their vectors."""
    joined = np.ascontiguousarray(vectors_SE).view(ClipVectors)
    joined.times = times
    return joined


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale the last axis to unit length (float64 inside, float32 out); zero rows stay zero."""
    wide = vectors.astype(np.float64)
    # What `np.linalg.norm` computes, without its checks, which take longer than one vector.
    norms = np.sqrt(np.add.reduce(wide * wide, axis=-1, keepdims=True))
    return np.asarray(wide / np.maximum(norms, 1e-12), dtype=np.float32)


def check_vectors(given: Any, dim: int) -> np.ndarray:
    """Return unit vectors as (n, dim), or refuse what isn't any.

    Args:
        given: (n, dim) or (dim,) floats of unit length; rows of NaN (failed items) pass.
        dim: of the space.

    Raises:
        InputError: another shape or type, or other lengths: items have to be encoded first.
    """
    rows = np.atleast_2d(np.asarray(given))
    if rows.ndim != 2 or rows.shape[1] != dim or rows.dtype.kind != "f":
        expected = f"vectors ({dim},) or (n, {dim}), as `encode` returns them"
        raise InputError(given, f"expected {expected}; encode items first")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    wrong = np.flatnonzero(np.abs(lengths - 1) > UNIT_ERROR)
    if len(wrong):
        found = f"row {wrong[0]} has length {lengths[wrong[0]]:.3g}"
        raise InputError(given, f"expected unit vectors, {found}; encode items first")
    return rows


def combine(parts: Sequence[tuple[Any, float]]) -> np.ndarray:
    """Add unit vectors with weights, and make the sum a unit vector (paper, appendix B.4).

    Args:
        parts: (vector, weight) pairs; a vector is (dim,) or (n, dim) and is made of unit length
            first, so that scaled outputs count the same; negative weights subtract.

    Returns:
        float32 unit vector(s) of the parts' shape.

    Raises:
        InputError: no parts, different dimensions, a weight that isn't finite, or a zero sum.
    """
    if not parts:
        raise InputError("combine", "expected at least one (vector, weight) pair, found none")
    vectors = [unit_rows(np.asarray(vector)) for vector, _ in parts]
    weights = [float(weight) for _, weight in parts]
    if len({vector.shape[-1] for vector in vectors}) > 1:
        raise InputError("combine", f"dimensions differ: {[v.shape for v in vectors]}")
    if not np.isfinite(weights).all():
        raise InputError("combine", f"expected finite weights, found {weights}")
    total = sum(w * v.astype(np.float64) for v, w in zip(vectors, weights, strict=True))
    if not (np.linalg.norm(total, axis=-1) > 1e-9).all():
        raise InputError("combine", f"the sum with weights {weights} is zero, without a direction")
    return unit_rows(np.asarray(total))
