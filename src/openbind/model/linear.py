"""Matrix products with weights, on the fastest path that gives the same numbers."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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

    On a CPU this calls oneDNN, as `torch.compile` does: `F.linear` takes MKL for float32, which
    runs at half the speed on processors that aren't Intel's. Without gradients the activation is
    part of the call: apart it is one more pass over the largest tensor of a block.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.
        activation: see `TrunkConfig`; "none" applies none.

    Returns:
        (..., out).
    """
    if not _onednn_serves(x, weight):
        return activate(F.linear(x, weight, bias), activation)
    if not torch.is_grad_enabled() and activation in _FUSED:
        return _multiply(x, weight, bias, *_FUSED[activation])
    product: Tensor = _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return activate(product, activation)


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


def _multiply(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", algorithm: str = ""
) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return product


class _Product(torch.autograd.Function):
    """oneDNN's product, which knows no gradients, with those of x Wᵀ + b by oneDNN too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        gradient_NO = gradient.reshape(-1, gradient.shape[-1])
        return (
            _multiply(gradient, weight.T, None) if for_x else None,
            _multiply(gradient_NO.T, x.reshape(-1, x.shape[-1]).T, None) if for_weight else None,
            gradient_NO.sum(dim=0) if for_bias else None,
        )


def _onednn_serves(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN's product can be used here."""
    if x.device.type != "cpu" or weight.device.type != "cpu":
        return False
    if not torch._C._has_mkldnn or torch.is_autocast_enabled("cpu"):
        return False
    if x.dtype != weight.dtype or x.numel() == 0 or torch.compiler.is_compiling():
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32
