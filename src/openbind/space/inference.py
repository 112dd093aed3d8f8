"""Run a tower on a batch: without gradients, on its device, with errors that name what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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
    """Move a tensor to a tower's device and precision; ids keep their type."""
    weight = next(tower.parameters())
    dtype = weight.dtype if tensor.is_floating_point() else None
    if weight.device.type == "cuda" and tensor.device.type == "cpu":
        # Pinned memory is copied while the device computes.
        return tensor.pin_memory().to(weight.device, dtype, non_blocking=True)
    return tensor.to(weight.device, dtype)
