"""Floating-point operations of a call, as PyTorch counts them."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from torch.utils.flop_counter import FlopCounterMode


def count_flops(function: Callable[[], object]) -> float:
    """Return the operations of a call; those of convolutions by the direct algorithm."""
    plainly = patch("openbind.model.convolution._can_fuse", lambda *_: False)
    with plainly, FlopCounterMode(display=False) as counter:
        function()
    return float(counter.get_total_flops())
