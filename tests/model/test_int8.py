"""Products in 8 bits: near the exact ones, copied and saved, decided layer by layer."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from openbind.model import int8
from openbind.model.blank import blank_weights
from openbind.model.int8 import (
    SCALE,
    Int8Embedding,
    Int8Linear,
    dequantize,
    is_quantized,
    put,
    put_blank,
    quantize,
    quantize_rows,
    quantize_tokens,
)

needs_product = pytest.mark.skipif(not int8.is_fast("cpu"), reason="no product of bytes (VNNI)")


def layer(inputs: int = 256, outputs: int = 320, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


class Small(nn.Module):
    """A table, two layers and a head, all large enough."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(4096, 256)
        self.first, self.second = nn.Linear(256, 512), nn.Linear(512, 256)
        self.head = nn.Linear(256, 256)
        self.requires_grad_(False).eval()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.second(self.first(self.table(ids)).tanh()))
        return result


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 7, 256), (1, 256), (0, 256)])
def test_product_is_near(shape: tuple[int, ...], dtype: torch.dtype, bias: bool) -> None:
    plain = layer(bias=bias)
    x = torch.randn(shape) * torch.logspace(-3, 3, shape[-2])[:, None]  # tokens of all lengths
    with torch.inference_mode():
        found = Int8Linear.of(plain)(x.to(dtype))
    assert found.dtype == dtype
    expected = plain(x) - (0 if plain.bias is None else plain.bias)
    without = found.float() - (0 if plain.bias is None else plain.bias)
    error = (without - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-6)
    biased = plain.bias is not None and dtype == torch.bfloat16  # a small product is rounded away
    assert bool((error < 0.02).all()) or biased


@needs_product
def test_fast_product_equals_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    quantized, x = Int8Linear.of(layer()), torch.randn(5, 256)
    with torch.inference_mode():
        fast = quantized(x)
    assert quantized.weight is None  # packed: it isn't kept twice
    steps, lengths = quantize_tokens(x)
    exact = (steps.double() - 128) * lengths.double() @ quantized.dequantized(torch.float64).T
    assert torch.allclose(fast.double(), exact + quantized.bias, atol=1e-5)
    monkeypatch.setattr(int8, "is_fast", lambda device: False)
    assert (quantized(x) - fast).norm() < 0.01 * fast.norm()


def test_rows_use_all_steps_and_none_beyond() -> None:
    steps, length = quantize_rows(torch.randn(8, 50).bfloat16())
    assert steps.dtype == torch.int8
    assert length.dtype == torch.bfloat16
    assert steps.abs().amax() == 127
    zero, _ = quantize_rows(torch.zeros(2, 4))
    assert not zero.any()


def test_tokens_of_zeros_and_extremes() -> None:
    steps, lengths = quantize_tokens(torch.tensor([[0.0, 0.0], [3.0, -3.0], [-1e-9, 1e9]]))
    assert steps.tolist() == [[128, 128], [255, 1], [128, 255]]
    assert lengths[1].item() == pytest.approx(3 / 127)


def test_copies_and_files_have_the_weight() -> None:
    quantized, x = Int8Linear.of(layer()), torch.randn(4, 256)
    before = {key: value.clone() for key, value in quantized.state_dict().items()}
    assert set(before) == {"weight", "bias", SCALE}
    with torch.inference_mode():
        expected = quantized(x)
        assert all(torch.equal(before[k], v) for k, v in quantized.state_dict().items())
        buffer = io.BytesIO()
        torch.save(quantized, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        for other in (copy.deepcopy(quantized), loaded):
            assert torch.equal(other(x), expected)


def test_gradients_pass_through() -> None:
    x = torch.randn(2, 256, requires_grad=True)
    Int8Linear.of(layer())(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert bool(x.grad.any())


@needs_product
def test_layers_are_decided_by_their_errors() -> None:
    tower, ids = Small(), torch.randint(0, 4096, (2, 9))
    tower.second.weight[0] = 1e4 * torch.randn(512)  # others of its outputs stay exact
    tower.first.weight[:, 0] = 0
    before, expected = copy.deepcopy(tower), tower(ids)
    replaced, imprecise = quantize(tower, [ids])
    assert set(replaced) == {"table", "first", "second"}
    assert imprecise == 0
    assert type(tower.head) is nn.Linear
    assert torch.nn.functional.cosine_similarity(tower(ids), expected, dim=-1).min() > 0.999
    put(tower, replaced)
    assert torch.equal(tower(ids), expected)
    before.table.weight[:, 7] = 1e6  # an outlier of each token, which `first` ignores
    before.first.weight[:, 7] = 0
    replaced, imprecise = quantize(before, [ids])
    assert "first" not in replaced
    assert imprecise == 1
    assert type(before.first) is nn.Linear
    assert isinstance(before.second, Int8Linear)


@needs_product
def test_blank_towers_take_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    tower, ids = Small(), torch.randint(0, 4096, (2, 9))
    quantize(tower, [ids])
    state = tower.state_dict()
    with blank_weights():
        blank = Small()
        put_blank(blank, state)
    blank.load_state_dict(state, assign=True)
    with torch.inference_mode():
        assert torch.equal(blank(ids), tower(ids))
    expected = tower(ids)
    dequantize(blank)
    assert not is_quantized(blank)
    assert isinstance(tower.table, Int8Embedding)
    assert isinstance(blank.table, Int8Embedding)
    assert torch.nn.functional.cosine_similarity(blank(ids), expected, dim=-1).min() > 0.999
    assert {k: v.shape for k, v in blank.state_dict().items()} == {
        k: v.shape for k, v in Small().state_dict().items()
    } | {"table.int8_scale": (4096,)}


@pytest.mark.parametrize("key", ["norm.int8_scale", "other.int8_scale"])
def test_other_layers_are_refused(key: str) -> None:
    tower = nn.ModuleDict({"norm": nn.LayerNorm(4)})
    with pytest.raises((AttributeError, TypeError)):
        put_blank(tower, [key])
