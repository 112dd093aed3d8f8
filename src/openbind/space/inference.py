"""Run a tower on a batch: without gradients, on its device, with errors that name what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from openbind.errors import CheckpointError, first_line


@contextmanager
def inferring(tower: torch.nn.Module) -> Iterator[None]:
    """Compute without gradients and in evaluation mode; a caller's training mode comes back.

    Raises:
        CheckpointError: ids beyond the tower's vocabulary or positions: its checkpoint has
            settings or a vocabulary of another tower.
    """
    training = tower.training
    if training:
        tower.eval()
    try:
        with torch.inference_mode():
            yield
    except IndexError as error:
        reason = f"its preprocessing doesn't fit this tower ({first_line(error)})"
        raise CheckpointError(type(tower).__name__, reason) from error
    finally:
        if training:
            tower.train()


def placed(tensor: torch.Tensor, tower: torch.nn.Module) -> torch.Tensor:
    """Move a tensor to a tower's device and precision; ids keep their type.

    Towers with a preprocessing of their own have the precision of their inputs as `input_dtype`.
    """
    weight = next(tower.parameters())
    dtype = getattr(tower, "input_dtype", weight.dtype) if tensor.is_floating_point() else None
    if weight.device.type == "cuda" and tensor.device.type == "cpu":
        # Pinned memory is copied while the device computes.
        return tensor.pin_memory().to(weight.device, dtype, non_blocking=True)
    return tensor.to(weight.device, dtype)


def unit_vectors(tower: torch.nn.Module, clips: torch.Tensor) -> torch.Tensor:
    """Embed a batch of clips: (batch, ...) → (batch, dim) float32, unit rows."""
    with inferring(tower):
        return F.normalize(tower(placed(clips, tower)).float(), dim=-1)


def embed_clips(
    tower: torch.nn.Module, tensor: torch.Tensor, clip_dims: int, scale: float | None
) -> torch.Tensor:
    """Embed items that may be cut into clips.

    Args:
        tower: embeds.
        tensor: (batch, ...) or (batch, clips, ...).
        clip_dims: axes of a clip.
        scale: of the unit vectors, whose mean isn't made of unit length then; None returns unit
            vectors.

    Returns:
        (batch, dim) float32.
    """
    flat = tensor.flatten(0, 1) if tensor.ndim == clip_dims + 2 else tensor
    unit = unit_vectors(tower, flat) * (1.0 if scale is None else scale)
    mean = unit.view(tensor.shape[0], -1, unit.shape[-1]).mean(dim=1)
    return F.normalize(mean, dim=-1) if scale is None else mean
