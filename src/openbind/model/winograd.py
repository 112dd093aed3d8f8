"""3 × 3 convolutions by Winograd's algorithm, which needs a quarter of the products.

F(4 × 4, 3 × 3) of Lavin and Gray 2016 ("Fast algorithms for convolutional neural networks",
arXiv:1509.09308): tiles of 6 × 6 inputs and the kernels are transformed, multiplied for each of the
36 positions, summed over channels, and transformed back to 4 × 4 outputs. Results differ from those
of the direct sum by rounding, some 1e-5 of the largest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT, KERNEL, OUTPUT = 6, 3, 4
"""Sides of a tile, of a kernel, and of a tile's result."""
LEAST_PRODUCT = 128 * 256
"""Input times output channels from which products outweigh the transforms; measured."""
PART = 8
"""Input channels that are transformed together: their numbers stay in the processor's cache."""
LEAST_TILES = 16
"""Tiles for which reading the transformed weights, four times as many, pays off; measured."""

# Equations 14 and 15 of the paper; rows are results, columns what they are made of.
_INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_OUTPUT = torch.tensor(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def can_transform(layer: nn.Conv2d, input_BCHW: Tensor) -> bool:
    """Return whether the transform is exact enough, and faster than the direct sum."""
    plain = layer.kernel_size == (KERNEL, KERNEL) and layer.stride == (1, 1) and layer.groups == 1
    if not plain or layer.in_channels * layer.out_channels < LEAST_PRODUCT:
        return False
    batch, _, height, width = input_BCHW.shape
    tiles = batch * -(-height // OUTPUT) * -(-width // OUTPUT)
    return input_BCHW.dtype == torch.float32 and tiles >= LEAST_TILES


def transform_weight(weight_OCHW: Tensor) -> Tensor:
    """Return the transformed kernels, (36, in, out).

    A few input channels at a time: in double precision all of them would take ten times the memory
    of the weight, whose first use takes longer than the products.
    """
    transform = torch.kron(_KERNEL, _KERNEL)
    outputs, inputs = weight_OCHW.shape[:2]
    transformed = weight_OCHW.new_empty(INPUT**2, inputs, outputs)
    parts = zip(weight_OCHW.split(PART, 1), transformed.split(PART, 1), strict=True)
    for part_OCHW, target in parts:
        kernels = part_OCHW.permute(2, 3, 1, 0).double().reshape(KERNEL**2, -1)
        target.copy_((transform @ kernels).view_as(target))
    return transformed


def convolve_transformed(input_BCHW: Tensor, weight: Tensor, bias_O: Tensor | None) -> Tensor:
    """Convolve with one row and column of zeros on each side.

    Args:
        input_BCHW: float32, fastest in channels-last format.
        weight: see `transform_weight`.
        bias_O: added.

    Returns:
        (B, O, H, W) in channels-last format.
    """
    batch, channels, height, width = input_BCHW.shape
    rows, columns = -(-height // OUTPUT), -(-width // OUTPUT)
    below, right = OUTPUT * rows + 1 - height, OUTPUT * columns + 1 - width
    padded_BHWC = F.pad(input_BCHW.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below))
    # Neighboring tiles share two rows or columns.
    tiles = padded_BHWC.unfold(1, INPUT, OUTPUT).unfold(2, INPUT, OUTPUT)
    gathered = tiles.permute(4, 5, 0, 1, 2, 3).reshape(INPUT**2, -1)
    transformed = (torch.kron(_INPUT, _INPUT) @ gathered).view(INPUT**2, -1, channels)
    products = torch.bmm(transformed, weight)
    output = torch.kron(_OUTPUT, _OUTPUT) @ products.view(INPUT**2, -1)
    output = output.view(OUTPUT, OUTPUT, batch, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
    output_BHWO = output.reshape(batch, OUTPUT * rows, OUTPUT * columns, -1)[:, :height, :width]
    if bias_O is not None:
        output_BHWO += bias_O
    return output_BHWO.permute(0, 3, 1, 2)
