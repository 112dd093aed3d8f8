"""All losses equal their formulas, gradients included, without storing the matrix of logits.

Several processes: `test_distributed.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.training.losses.chunked import CHUNK_LOGITS, gather_alone
from openbind.training.losses.info_nce import info_nce
from openbind.training.losses.sigmoid import sigmoid_loss

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], Tensor]


def unit_rows(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 16, generator=generator, dtype=dtype), dim=1)


def plain_info_nce(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor,
    bias: Tensor,
    target_Q: Tensor,
    excluded_QK: Tensor | None = None,
) -> Tensor:
    """The formula on the matrix of all logits, differentiated by autograd."""
    logits_QK = scale * (query_QE @ items_KE.T) + 0 * bias
    if excluded_QK is not None:
        logits_QK = logits_QK.masked_fill(excluded_QK, -torch.inf)
    forward = F.cross_entropy(logits_QK, target_Q)
    matched_Q = logits_QK.log_softmax(dim=0).gather(1, target_Q[:, None])[:, 0]
    queries_K = torch.bincount(target_Q, minlength=len(items_KE))
    backward = -(matched_Q / queries_K[target_Q]).sum() / (queries_K > 0).sum()
    return (forward + backward) / 2


def plain_sigmoid(
    query_QE: Tensor,
    items_KE: Tensor,
    scale: Tensor,
    bias: Tensor,
    target_Q: Tensor,
    excluded_QK: Tensor | None = None,
) -> Tensor:
    """The formula on the matrix of all logits, differentiated by autograd."""
    sign_QK = 2 * F.one_hot(target_Q, len(items_KE)).to(scale) - 1
    logits_QK = scale * (query_QE @ items_KE.T) + bias
    loss_QK = -F.logsigmoid(sign_QK * logits_QK)
    if excluded_QK is not None:
        loss_QK = loss_QK.masked_fill(excluded_QK, 0)
    return loss_QK.sum() / len(query_QE)


def exchange(x: Tensor) -> Tensor:
    """Gather as several processes do, though this is one: the logits aren't computed at once."""
    return x[None]


LOSSES: dict[str, tuple[Loss, Callable[..., Tensor]]] = {
    "info_nce": (lambda q, k, s, b, t: info_nce(q, k, s, t) + 0 * b, plain_info_nce),
    "info_nce, exchanged": (
        lambda q, k, s, b, t: info_nce(q, k, s, t, exchange) + 0 * b,
        plain_info_nce,
    ),
    "sigmoid": (sigmoid_loss, plain_sigmoid),
}
# Queries, items and how many of the items have queries: the last needs several chunks, of which
# the last one is shorter.
SIZES = {"pairs": (24, 24, 24), "shared and extra": (24, 17, 5), "chunks": (3001, 4000, 1500)}


def gradients_of(
    loss: Loss, sides: tuple[Tensor, Tensor], target_Q: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    leaves = [side.clone().requires_grad_() for side in sides]
    leaves += [torch.tensor(x, dtype=sides[0].dtype, requires_grad=True) for x in (7.0, -2.0)]
    value = loss(*leaves, target_Q)
    (3 * value).backward()
    return value.detach(), [leaf.grad for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_autograd(name: str, size: str) -> None:
    """Loss and all gradients are those of autograd, to 1e-5 of the largest entry."""
    (ours, plain), (queries, items, matched) = LOSSES[name], SIZES[size]
    sides = unit_rows(queries, 0, torch.float32), unit_rows(items, 1, torch.float32)
    target_Q = torch.arange(queries) % matched
    loss, found = gradients_of(ours, sides, target_Q)
    expected_loss, expected = gradients_of(plain, sides, target_Q)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0)
    assert len(found) == len(expected) == 4
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) <= 1e-5 * float(b.abs().max())
    if size == "chunks":
        assert queries * items > CHUNK_LOGITS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_excluded_pairs(name: str, size: str) -> None:
    """Excluded pairs are in no sum and get no gradient, in any chunk."""
    plain, (queries, items, matched) = LOSSES[name][1], SIZES[size]
    sides = unit_rows(queries, 0, torch.float32), unit_rows(items, 1, torch.float32)
    target_Q = torch.arange(queries) % matched
    generator = torch.Generator().manual_seed(2)
    excluded_QK = torch.rand(queries, items, generator=generator) < 0.3
    excluded_QK[:, -1] = True  # by all queries
    excluded_QK[torch.arange(queries), target_Q] = False
    pairs = tuple(excluded_QK.nonzero().unbind(dim=1))

    def ours(q: Tensor, k: Tensor, s: Tensor, b: Tensor, t: Tensor | None) -> Tensor:
        if name == "sigmoid":
            return sigmoid_loss(q, k, s, b, t, excluded=pairs)
        gather = exchange if "exchanged" in name else gather_alone
        return info_nce(q, k, s, t, gather, pairs) + 0 * b

    def expected_loss(q: Tensor, k: Tensor, s: Tensor, b: Tensor, t: Tensor | None) -> Tensor:
        return plain(q, k, s, b, t, excluded_QK)

    loss, found = gradients_of(ours, sides, target_Q)
    plain_loss, expected = gradients_of(expected_loss, sides, target_Q)
    torch.testing.assert_close(loss, plain_loss, rtol=1e-5, atol=0)
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 1e-5 * float(b.abs().max())


@pytest.mark.parametrize("name", LOSSES)
def test_descent(name: str) -> None:
    """Gradient descent makes every query's item its nearest, with a learned scale too."""
    ours, items_KE = LOSSES[name][0], unit_rows(8, 8)
    free = unit_rows(8, 9).requires_grad_()
    log_scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-5.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free, log_scale, bias], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        ours(F.normalize(free, dim=1), items_KE, log_scale.exp(), bias, None).backward()
        optimizer.step()
    assert torch.equal((free @ items_KE.T).argmax(1), torch.arange(8))
    assert float(log_scale.detach()) > 2.0


@pytest.mark.parametrize("name", LOSSES)
def test_scales_far_apart_stay_finite(name: str) -> None:
    """At a scale of 100, where exp overflows float32, opposite vectors give finite numbers."""
    side = unit_rows(8, 0, torch.float32)
    loss, found = gradients_of(
        lambda q, k, s, b, t: LOSSES[name][0](q, k, 100 / 7 * s, b, t), (side, -side), None
    )
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in found)


def test_bfloat16() -> None:
    """The loss of bfloat16 vectors is that of their float32 values, under autocast too."""
    query_QE, items_KE = (unit_rows(64, seed).bfloat16() for seed in (0, 1))
    expected = info_nce(query_QE.float(), items_KE.float(), 20.0)
    leaf = query_QE.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = info_nce(leaf, items_KE, 20.0)
        full = sigmoid_loss(query_QE.float(), items_KE.float(), 20.0, -10.0)
    loss.backward()
    assert torch.equal(loss.detach(), expected)
    assert leaf.grad is not None
    assert leaf.grad.dtype == torch.bfloat16
    assert torch.equal(full, sigmoid_loss(query_QE.float(), items_KE.float(), 20.0, -10.0))


def test_gradients_on_demand() -> None:
    """Frozen items get no gradient, and a scale may be learned alone."""
    query_QE, items_KE = unit_rows(6, 0).requires_grad_(), unit_rows(6, 1)
    info_nce(query_QE, items_KE, 5.0).backward()
    assert query_QE.grad is not None
    assert items_KE.grad is None
    scale = torch.tensor([5.0], requires_grad=True)
    info_nce(query_QE.detach(), items_KE, scale).backward()
    assert scale.grad is not None
    assert scale.grad.shape == (1,)
    with torch.no_grad():
        assert not info_nce(query_QE, items_KE, scale).requires_grad


MEASURE = """
import torch
from openbind.training.losses.info_nce import info_nce
from openbind.training.losses.sigmoid import sigmoid_loss
torch.set_num_threads(2)

def mib(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024

def sides(count):
    return [torch.nn.functional.normalize(torch.randn(count, 256), dim=1).requires_grad_()
            for _ in range(2)]

info_nce(*sides(64), 20.0).backward()  # what libraries allocate once
query_QE, items_KE = sides(8192)
before = mib("VmRSS")
for loss, more in ((info_nce, ()), (sigmoid_loss, (-10.0,))):
    loss(query_QE, items_KE, 20.0, *more).backward()
    print(mib("VmHWM") - before)
    query_QE.grad = items_KE.grad = None
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_logits_are_never_all_stored() -> None:
    """8,192 pairs take less memory than the matrix of their logits, both gradients included.

    benchmarks/loss.py measures 16,384 pairs of 1,024 dimensions.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True
    )
    peaks = [float(line) for line in done.stdout.split()]
    assert len(peaks) == 2
    assert max(peaks) < 8192 * 8192 * 4 / 2**20


@pytest.mark.parametrize("name", LOSSES)
def test_invalid_inputs(name: str) -> None:
    """Widths, norms, counts and targets that don't fit raise a ValueError with what was found."""
    zero = torch.tensor(0.0)

    def call(query_QE: Tensor, items_KE: Tensor, target_Q: Tensor | None = None) -> Tensor:
        return LOSSES[name][0](query_QE, items_KE, zero + 1, zero, target_Q)

    two, three = unit_rows(2, 0), unit_rows(3, 0)
    with pytest.raises(ValueError, match="16 wide"):
        call(two, torch.eye(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="target_Q"):
        call(two, three)
    with pytest.raises(ValueError, match=r"query 1: expected .* found 7"):
        call(two * torch.tensor([[1.0], [7.0]]), three, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"item 0: expected .* found nan"):
        call(two, two * torch.tensor([[torch.nan], [1.0]]))
    with pytest.raises(ValueError, match=r"query 1: expected one of 3 items, found 3"):
        call(two, three, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"query 0: .* found -1"):
        call(two, three, torch.tensor([-1, 0]))
    with pytest.raises(ValueError, match=r"int64 \(2,\).* found torch.int32 \(2,\)"):
        call(two, three, torch.tensor([0, 1], dtype=torch.int32))
    with pytest.raises(ValueError, match=r"found torch.int64 \(3,\)"):
        call(two, three, torch.tensor([0, 1, 2]))
