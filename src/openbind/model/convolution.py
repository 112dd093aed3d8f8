"""Convolutions with SAME padding, on the fastest path with the same numbers.

On a CPU without gradients they call oneDNN as `torch.compile` does: the activation and the addition
of a residual are fused, which saves passes over the largest tensors, and weights are brought into
oneDNN's own layout once instead of in every call. Large 3 × 3 ones take Winograd's algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.model.winograd import can_transform, convolve_transformed, transform_weight

Bounds = Literal["none", "relu", "relu6"]
"""Activations: unchanged, at least 0, from 0 to 6."""
# oneDNN's names and numbers of the activations that it fuses.
_FUSED: dict[Bounds, tuple[str, list[float], str]] = {
    "none": ("none", [], ""),
    "relu": ("relu", [], ""),
    "relu6": ("hardtanh", [0.0, 6.0], ""),
}


class Rearranged:
    """Copies of a weight in other layouts, made when first needed and again once it has changed.

    They are neither saved nor copied with the layer.
    """

    def __init__(self) -> None:
        self._weight: Tensor | None = None
        self._state: tuple[int, int, torch.dtype] | None = None
        self._copies: dict[str, Tensor] = {}

    def get(self, weight: Tensor, layout: str, arrange: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the weight in a layout.

        Args:
            weight: as it is now.
            layout: what tells one from the layer's others.
            arrange: makes the copy.
        """
        version = 0 if weight.is_inference() else weight._version
        state = (version, weight.data_ptr(), weight.dtype)
        if self._weight is not weight or self._state != state:
            self._weight, self._state, self._copies = weight, state, {}
        if layout not in self._copies:
            self._copies[layout] = arrange(weight.detach())
        return self._copies[layout]

    def __reduce__(self) -> tuple[type[Rearranged], tuple[()]]:
        return Rearranged, ()


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: ceil(size / stride) outputs.

    PyTorch's symmetric padding differs if the total padding is odd: the extra row or column belongs
    to the bottom or right. Weights are channels last, which is twice as fast on a CPU.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups)
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)
        self._rearranged = Rearranged()

    def forward(
        self, input: Tensor, activation: Bounds = "none", residual: Tensor | None = None
    ) -> Tensor:
        """Convolve, apply an activation, add.

        Args:
            input: (B, C, H, W), fastest in channels-last format.
            activation: of the convolution.
            residual: of the result's shape; added after the activation, which must be "none".

        Returns:
            a new tensor (B, outputs, H / stride, W / stride), rounded up.
        """
        rows, columns = (self._padding(size) for size in input.shape[-2:])
        if not _can_fuse(input, self.weight):
            output = bound(self._convolve(input, rows, columns), activation)
            return output if residual is None else output + residual
        if residual is None and can_transform(self, input):
            weight = self._rearranged.get(self.weight, "transformed", transform_weight)
            return bound(convolve_transformed(input, weight, self.bias), activation)
        return self._convolve_fused(input, rows, columns, activation, residual)

    def _padding(self, size: int) -> int:
        """Return the rows or columns that both sides need together."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)

    def _convolve(self, input: Tensor, rows: int, columns: int) -> Tensor:
        if rows % 2 == 0 and columns % 2 == 0:
            padding = (rows // 2, columns // 2)
        else:
            left, top = columns // 2, rows // 2
            input = F.pad(input, (left, columns - left, top, rows - top))
            padding = (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, groups=self.groups)

    def _convolve_fused(
        self, input: Tensor, rows: int, columns: int, activation: Bounds, residual: Tensor | None
    ) -> Tensor:
        """Convolve with symmetric padding: where it is odd, the kernel begins with zeros."""
        odd = rows % 2, columns % 2
        settings = Settings(
            padding=[rows // 2 + odd[0], columns // 2 + odd[1]],
            stride=list(self.stride),
            groups=self.groups,
        )

        def pack(weight: Tensor) -> Tensor:
            return settings.pack(F.pad(weight, (odd[1], 0, odd[0], 0)), input.shape)

        weight = self._rearranged.get(self.weight, f"packed {odd}", pack)
        if residual is None:
            return settings.convolve(input, weight, self.bias, activation)
        return settings.convolve_and_add(input, weight, self.bias, residual)


@dataclass(frozen=True)
class Settings:
    """oneDNN's convolution as PyTorch's private operations call it.

    Args:
        padding, stride: of rows and columns; the padding is that of each side.
        groups: of channels.
    """

    padding: Sequence[int]
    stride: Sequence[int]
    groups: int

    def pack(self, weight: Tensor, shape: Sequence[int]) -> Tensor:
        """Return a weight in oneDNN's layout for inputs of a shape; others are possible, too."""
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            weight, self.padding, self.stride, [1, 1], self.groups, list(shape)
        )
        return packed

    def convolve(
        self, input: Tensor, packed: Tensor, bias: Tensor | None, activation: Bounds
    ) -> Tensor:
        """Convolve, add the bias, apply the activation."""
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            *(input, packed, bias, self.padding, self.stride, [1, 1], self.groups),
            *_FUSED[activation],
        )
        return output

    def convolve_and_add(
        self, input: Tensor, packed: Tensor, bias: Tensor | None, residual: Tensor
    ) -> Tensor:
        """Convolve, add the bias and a tensor of the result's shape."""
        output: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            *(input, residual, packed, bias, self.padding, self.stride, [1, 1], self.groups),
            *("add", 1.0, None, [], None),
        )
        return output


def _can_fuse(input: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN's convolution can be used; it has no gradients."""
    if input.device.type != "cpu" or weight.device.type != "cpu" or torch.is_grad_enabled():
        return False
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    return input.dtype == weight.dtype and input.numel() > 0 and input.dtype in _fused_dtypes()


@lru_cache(maxsize=1)
@torch.inference_mode()
def _fused_dtypes() -> frozenset[torch.dtype]:
    """Return the types that oneDNN's convolution is available for, tried once.

    The operations are private to PyTorch: in another release they may be missing or have other
    arguments.
    """
    if not torch.backends.mkldnn.is_available():
        return frozenset()
    weight, bias = torch.linspace(-1, 1, 18).view(2, 1, 3, 3), torch.tensor([0.5, -0.5])
    x = torch.linspace(-3, 9, 32).view(1, 2, 4, 4)
    settings = Settings([1, 1], [1, 1], 2)
    expected = F.conv2d(x, weight, bias, padding=1, groups=2)
    try:
        packed = settings.pack(weight, x.shape)
        bounded = settings.convolve(x, packed, bias, "relu6")
        added = settings.convolve_and_add(x, packed, bias, x)
        has_bfloat16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError, TypeError):
        return frozenset()
    same = torch.allclose(bounded, F.relu6(expected), atol=1e-4)
    if not (same and torch.allclose(added, expected + x, atol=1e-4)):
        return frozenset()
    return frozenset([torch.float32, torch.bfloat16] if has_bfloat16 else [torch.float32])


def bound(x: Tensor, activation: Bounds) -> Tensor:
    """Apply an activation, in place."""
    if activation == "relu":
        return F.relu(x, inplace=True)
    return F.relu6(x, inplace=True) if activation == "relu6" else x
