"""Matrix products with weights, on the fastest path that gives the same numbers."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.config import Activation

# oneDNN's names of the activations that it applies to a product while it is still in registers.
_FUSED: dict[str, tuple[str, str]] = {
    "none": ("none", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
}


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Activation | Literal["none"] = "none",
) -> Tensor:
    """Multiply by a weight, add a bias, apply an activation.

    Without gradients on a CPU this calls oneDNN, as `torch.compile` does: `F.linear` takes MKL
    for float32, which runs at half the speed on processors that aren't Intel's, and a separate
    activation is one more pass over the largest tensor of a block.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.
        activation: see `TrunkConfig`; "none" applies none.

    Returns:
        (..., out).
    """
    if activation in _FUSED and _onednn_serves(x, weight):
        name, algorithm = _FUSED[activation]
        fused: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)
        return fused
    return activate(F.linear(x, weight, bias), activation)


def project(
    layer: nn.Module,
    x: Tensor,
    rows: slice | None = None,
    activation: Activation | Literal["none"] = "none",
) -> Tensor:
    """Apply a layer, or some of its rows: how every part of a tower calls its Linears.

    A plain `nn.Linear` takes the path of `linear`, and rows that aren't wanted are never computed.
    What was put in its place (an adapter of peft's, say) is called as the module it is.

    Args:
        layer: (..., in) to (..., out).
        x: (..., in).
        rows: which of its results are wanted; None is all.
        activation: see `TrunkConfig`; "none" applies none.

    Returns:
        (..., out), or (..., rows).
    """
    if type(layer) is not nn.Linear:
        result: Tensor = layer(x)
        return activate(result if rows is None else result[..., rows], activation)
    if rows is None:
        return linear(x, layer.weight, layer.bias, activation)
    bias = None if layer.bias is None else layer.bias[rows]
    return linear(x, layer.weight[rows], bias, activation)


def activate(x: Tensor, activation: Activation | Literal["none"]) -> Tensor:
    """Apply an activation of `TrunkConfig`, element by element."""
    if activation == "gelu":
        return F.gelu(x)
    if activation == "gelu_tanh":
        return F.gelu(x, approximate="tanh")
    if activation == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    return x


def _onednn_serves(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's product, which knows no gradients, can be used here."""
    if torch.is_grad_enabled() or x.device.type != "cpu" or weight.device.type != "cpu":
        return False
    if not torch._C._has_mkldnn or torch.is_autocast_enabled("cpu"):
        return False
    if x.dtype != weight.dtype or x.numel() == 0 or torch.compiler.is_compiling():
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32
