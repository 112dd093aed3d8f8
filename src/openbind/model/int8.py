"""Matrix products in 8 bits, for CPUs that multiply bytes (VNNI, AMX).

A weight has one scale for each output, a token's features one scale for each token, found when it
comes (arXiv 2208.07339, section 3). oneDNN multiplies unsigned by signed bytes: features are
shifted by 128, which it takes back. What doesn't fit into 8 bits (features with outliers, ibid.)
is measured with samples, layer by layer, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.linear import linear

# Instruction sets whose products of bytes don't saturate, as cpuinfo names them.
_INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "amx_int8")
_STEPS = 127
_MIDDLE = 128
_TINY = 1e-30
_CACHED = 1 << 17
"""Features that are quantized at once: what a core's own cache holds."""
MIN_WEIGHTS = 1 << 17
"""Elements of a weight from which its product is large enough."""
MIN_TABLE = 1 << 20
"""Elements of a table of embeddings from which it is stored in 8 bits."""
MAX_ERROR = 0.06
"""Of a layer's outputs on samples, relative to their norm, beyond which it isn't quantized."""
SCALE = "int8_scale"
"""Name of the tensor that tells a quantized layer, beside its `weight`."""


def is_fast(device: torch.device | str) -> bool:
    """Return whether a device multiplies bytes fast and PyTorch has the operation."""
    return torch.device(device).type == "cpu" and _has_product()


class Int8Linear(nn.Module):
    """A Linear whose weight has 8 bits.

    Attributes:
        weight: (out, in) int8; None once it is packed. `state_dict` has it in any case.
        int8_scale: (out,) length of a step of each output's weight, in the layer's precision.
        bias: (out,) or None.
    """

    weight: Tensor | None
    int8_scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer(SCALE, scale)
        self.register_buffer("bias", bias)
        self._packed: Tensor | None = None

    @classmethod
    def of(cls, layer: nn.Linear) -> Int8Linear:
        """Quantize a Linear; its bias is shared."""
        weight, scale = quantize_rows(layer.weight.detach())
        return cls(weight, scale, None if layer.bias is None else layer.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Transform (..., in) to (..., out) in the precision of `x`."""
        if not is_fast(x.device) or x.requires_grad or torch.compiler.is_compiling():
            bias = None if self.bias is None else self.bias.to(x)
            return F.linear(x, self.dequantized(x.dtype).to(x.device), bias)
        steps, lengths = quantize_tokens(x.reshape(-1, x.shape[-1]))
        product = self._multiply(steps)
        if self.bias is None:
            result = product.mul_(lengths)
        else:
            result = torch.addcmul(self.bias.float(), product, lengths, out=product)
        return result.to(x.dtype).view(*x.shape[:-1], len(self.int8_scale))

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the weight as numbers: (out, in)."""
        return self._plain().to(dtype) * self.int8_scale[:, None].to(dtype)

    def plain_layer(self) -> nn.Linear:
        """Return a Linear of the same numbers."""
        layer = nn.Linear(1, 1, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self.dequantized(self.int8_scale.dtype), requires_grad=False)
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias, requires_grad=False)
        layer.out_features, layer.in_features = layer.weight.shape
        return layer

    def _multiply(self, steps: Tensor) -> Tensor:
        """Return products with the weight, in steps of the tokens, float32."""
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(
                steps,
                1.0,
                _MIDDLE,
                self._pack(),
                self.int8_scale.float(),
                _zeros(len(self.int8_scale)),
            ),
            *(None, 1.0, 0, torch.float32, "none", [], ""),
        )
        return product

    def _pack(self) -> Tensor:
        """Return the weight in oneDNN's layout, which takes the place of the plain one."""
        if self._packed is None:
            assert self.weight is not None
            self._packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
            self.weight = None
        return self._packed

    def _plain(self) -> Tensor:
        if self._packed is None:
            assert self.weight is not None
            return self.weight
        plain: Tensor = self._packed.to_dense().T.contiguous()
        return plain

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self._plain()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: oneDNN's layout can't be."""
        buffers = {**self._buffers, "weight": self._plain()}
        return {**self.__dict__, "_buffers": buffers, "_packed": None}


class Int8Embedding(nn.Module):
    """A table of embeddings whose rows have 8 bits.

    Attributes:
        weight: (rows, features) int8.
        int8_scale: (rows,) length of a step, in the precision of the output.
    """

    weight: Tensor
    int8_scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer(SCALE, scale)

    @classmethod
    def of(cls, table: nn.Embedding) -> Int8Embedding:
        """Quantize a table."""
        return cls(*quantize_rows(table.weight.detach()))

    def forward(self, ids: Tensor) -> Tensor:
        """Look up (...) ids: (..., features)."""
        return self.weight[ids].to(self.int8_scale.dtype) * self.int8_scale[ids][..., None]


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize each row of a weight by itself.

    Args:
        weight: (rows, features).

    Returns:
        (rows, features) int8, at most 127 steps to either side; a step's length, (rows,), in the
        weight's precision.
    """
    exact = weight.float()
    scale = (exact.abs().amax(dim=1).clamp_min_(_TINY) / _STEPS).to(weight.dtype)
    steps = (exact / scale.float()[:, None]).round_().clamp_(-_STEPS, _STEPS)
    return steps.to(torch.int8), scale


def quantize_tokens(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize each token by itself, a few at a time, whose features stay in cache.

    Args:
        rows: (tokens, features).

    Returns:
        (tokens, features) uint8, at most 127 steps to either side of 128; a step's length,
        (tokens, 1) float32.
    """
    steps = torch.empty(rows.shape, dtype=torch.uint8)
    lengths = torch.empty(len(rows), 1)
    half = torch.full((rows.shape[1],), _MIDDLE + 0.5)  # truncation after adding a half rounds
    count = max(1, _CACHED // rows.shape[1])
    for part, into, length in zip(
        rows.split(count), steps.split(count), lengths.split(count), strict=True
    ):
        exact = part.float()
        largest = torch.maximum(exact.amax(-1, keepdim=True), -exact.amin(-1, keepdim=True))
        length.copy_(largest.clamp_min_(_TINY).div_(_STEPS))
        into.copy_(torch.addcmul(half, exact, length.reciprocal()))
    return steps, lengths


class _Trial(nn.Module):
    """A Linear that notes how far its product in 8 bits is from its own."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer, self.quantized = layer, Int8Linear.of(layer)
        self.error = 0.0

    def forward(self, x: Tensor) -> Tensor:
        exact = linear(x, self.layer.weight, self.layer.bias)
        difference = (self.quantized(x) - exact).float().norm() / exact.float().norm()
        self.error = max(self.error, float(difference.nan_to_num(torch.inf)))
        return exact


@torch.no_grad()
def quantize(tower: nn.Module, samples: Iterable[Tensor]) -> tuple[dict[str, nn.Module], int]:
    """Store weights of a tower in 8 bits, in place, where that changes its layers little.

    The layers are the Linears and tables of at least `MIN_WEIGHTS` and `MIN_TABLE` elements but
    for the head's. Their largest error on the samples decides (`MAX_ERROR`).

    Args:
        tower: in evaluation mode, on a device where `is_fast`.
        samples: batches for it.

    Returns:
        the modules that were replaced, by name (`put` undoes it), and how many stay as they
        were because of their error.
    """
    layers = {n: m for n, m in tower.named_modules() if _is_large(m) and not n.startswith("head")}
    trials = {n: _Trial(m) for n, m in layers.items() if isinstance(m, nn.Linear)}
    put(tower, trials)
    for sample in samples:
        tower(sample)
    quantized: dict[str, nn.Module] = {
        n: Int8Embedding.of(m) for n, m in layers.items() if isinstance(m, nn.Embedding)
    }
    quantized |= {n: t.quantized for n, t in trials.items() if t.error <= MAX_ERROR}
    put(tower, {n: m for n, m in layers.items() if n not in quantized})
    put(tower, quantized)
    return {n: layers[n] for n in quantized}, len(layers) - len(quantized)


def put(tower: nn.Module, modules: dict[str, Any]) -> None:
    """Put modules at their names in a tower."""
    for name, module in modules.items():
        tower.set_submodule(name, module)


def put_blank(tower: nn.Module, keys: Iterable[str]) -> None:
    """Replace the layers of a blank tower that are quantized in a file.

    Args:
        tower: without weights; those of the file are assigned later.
        keys: names of the file's tensors.

    Raises:
        AttributeError, TypeError: no such layer, or not one that can be quantized.
    """
    for key in keys:
        name, _, last = key.rpartition(".")
        if last == SCALE:
            put(tower, {name: _blank(tower.get_submodule(name))})


def dequantize(tower: nn.Module) -> None:
    """Replace quantized Linears by plain ones of the same numbers, where no product in 8 bits is.

    Tables stay: any device looks rows of bytes up.
    """
    found = [(n, m) for n, m in tower.named_modules() if isinstance(m, Int8Linear)]
    put(tower, {name: layer.plain_layer() for name, layer in found})


def is_quantized(tower: nn.Module) -> bool:
    """Return whether a tower has products in 8 bits."""
    return any(isinstance(m, Int8Linear) for m in tower.modules())


def _blank(layer: nn.Module) -> Int8Linear | Int8Embedding:
    if not isinstance(layer, nn.Linear | nn.Embedding):
        raise TypeError(f"expected a Linear or an Embedding, found {type(layer).__name__}")
    weight = torch.empty(layer.weight.shape, dtype=torch.int8)
    scale = torch.empty(len(weight))
    if isinstance(layer, nn.Embedding):
        return Int8Embedding(weight, scale)
    return Int8Linear(weight, scale, None if layer.bias is None else layer.bias.detach())


def _is_large(module: nn.Module) -> bool:
    if type(module) is nn.Linear:
        return module.weight.numel() >= MIN_WEIGHTS
    return type(module) is nn.Embedding and module.weight.numel() >= MIN_TABLE


@lru_cache(maxsize=64)
def _zeros(count: int) -> Tensor:
    """Return the zero points of symmetric weights."""
    return torch.zeros(count, dtype=torch.int32)


@lru_cache(maxsize=1)
@torch.inference_mode()
def _has_product() -> bool:
    """Return whether the processor has the instructions and oneDNN's product is right, tried once.

    The operations are private to PyTorch: in another release they may be missing or have other
    arguments.
    """
    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    if not any(torch.cpu.get_capabilities().get(name) for name in _INSTRUCTIONS):
        return False
    weight = torch.arange(-96, 96, dtype=torch.int8).view(3, 64)
    steps = torch.arange(128, 256, dtype=torch.uint8).view(2, 64)
    try:
        product = torch.ops.onednn.qlinear_pointwise(
            *(steps, 1.0, _MIDDLE, torch.ops.onednn.qlinear_prepack(weight, None)),
            *(torch.ones(3), _zeros(3), None, 1.0, 0, torch.float32, "none", [], ""),
        )
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(product, (steps.float() - 128) @ weight.float().T)
