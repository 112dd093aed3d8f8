"""Towers in 8 bits, kept only where vectors of items that ship stay what they were."""

from __future__ import annotations

import warnings

import torch

from openbind.model.int8 import is_fast, is_quantized, put, quantize
from openbind.space.inference import placed, unit_vectors
from openbind.space.shipped import shipped_items
from openbind.space.space import Space

SAMPLES = 4
"""Items of a modality that a tower is measured with."""
MIN_COSINE = 0.99
"""Of a vector by a tower in 8 bits to that by the same before."""


def quantize_space(space: Space) -> Space:
    """Store the large layers of a space's towers in 8 bits, in place.

    A tower stays as it is, and a warning says why, where the processor has no fast products of
    bytes, no items of its modalities ship, no layer is large enough or exact enough in 8 bits, or
    a vector changes too much (`MIN_COSINE`).

    Args:
        space: not used by others; its towers are replaced in part.

    Returns:
        the space itself.
    """
    for name, tower in space.towers.items():
        reason = _quantize_tower(space, name, tower)
        if reason:
            warnings.warn(f"{space.name}: {name} stays in its precision: {reason}", stacklevel=3)
    return space


def _quantize_tower(space: Space, name: str, tower: torch.nn.Module) -> str:
    """Quantize one tower; return why it isn't, or ""."""
    if is_quantized(tower):
        return ""
    if not is_fast(space.device):
        return f"no fast product of 8 bits on this {space.device.type} (VNNI, AMX)"
    if not tower.state_dict():
        return "it is a reference to a model of others"
    samples = _samples(space, name)
    if not samples:
        return "no items ship to measure it with"
    exact = [unit_vectors(tower, clips) for clips in samples]
    replaced, imprecise = quantize(tower, [placed(clips, tower) for clips in samples])
    if not replaced:
        return f"{imprecise} layers are too imprecise, the others too small"
    pairs = zip(exact, samples, strict=True)
    least = min(float((e * unit_vectors(tower, c)).sum(dim=-1).min()) for e, c in pairs)
    if least >= MIN_COSINE:
        return ""
    put(tower, replaced)
    return f"cosines down to {least:.4f} to its own vectors, expected {MIN_COSINE}"


def _samples(space: Space, tower: str) -> list[torch.Tensor]:
    """Return preprocessed items that ship, of the first modality of a tower that has any."""
    for modality, binding in space.config.modalities.items():
        if binding.tower == tower and (items := shipped_items(modality)[::4][:SAMPLES]):
            return [space.decoder.preprocess(modality, item).clips for item in items]
    return []
