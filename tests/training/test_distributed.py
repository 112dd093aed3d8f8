"""Several processes compute what one computes, and their states are those of one.

torchrun starts this file in two processes, once. They and the tests' process compute the same
things; the results must agree.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.errors import ConfigError
from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.training.blocks import BlockRows, fill_blocks
from openbind.training.distributed import (
    World,
    full_optimizer_state,
    full_state,
    gather_objects,
    join_world,
    load_full_optimizer_state,
    load_full_state,
    share,
)
from openbind.training.gradcache import cached_backward
from openbind.training.losses.info_nce import info_nce
from openbind.training.losses.sigmoid import sigmoid_loss
from openbind.training.optimization import Schedule, build_optimizer, take_step

pytestmark = pytest.mark.slow

ROWS, ITEMS = 13, 9  # an odd number of rows: the processes have 7 and 6
WAYS = ["ddp", "ddp, cached", "fsdp", "fsdp, cached"]
# AdamW divides by the gradient's size: with the usual eps of 1e-8 rounding decides where weights
# without influence (the biases of keys) move to.
SCHEDULE = Schedule(lr=1e-2, eps=1e-3, steps=4)


class Learned(nn.Module):
    """Learned parameters of a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(7.0))
        self.bias = nn.Parameter(torch.tensor(-2.0))


def build_tower(seed: int = 0) -> Tower:
    config = TowerConfig(
        stem=WindowStem(channels=2, kernel=4, steps=20),
        trunk=TrunkConfig(width=24, depth=2, heads=3, bias_kv=True),
        head=HeadConfig(embed_dim=6),
    )
    return initialize(Tower(config), torch.Generator().manual_seed(seed))


def draw(step: int, world: World) -> tuple[Tensor, Tensor, Tensor]:
    """Return this process's series and their targets, and all items, of which two have no query."""
    generator = torch.Generator().manual_seed(step)
    x_BCT = torch.randn(ROWS, 2, 20, generator=generator)
    items_KE = F.normalize(torch.randn(ITEMS, 6, generator=generator), dim=1)
    target_B = torch.randint(ITEMS - 2, (ROWS,), generator=generator)
    mine = slice(world.rank, None, world.size)
    return x_BCT[mine], target_B[mine], items_KE


def measure_loss(name: str, world: World) -> dict[str, Tensor]:
    """Return a loss and all its gradients, the items' as the mean over processes."""
    tower, learned = build_tower(), Learned()
    net = share(tower, world, "ddp")
    x_BCT, target_B, items_KE = draw(0, world)
    items_KE.requires_grad_()
    query_QE = F.normalize(net(x_BCT), dim=1)
    if name == "sigmoid":
        loss = sigmoid_loss(query_QE, items_KE, learned.scale, learned.bias, target_B, world.gather)
    else:
        loss = info_nce(query_QE, items_KE, learned.scale, target_B, world.gather)
    loss.backward()
    found = {"loss": loss.detach(), "items": world.gather(items_KE.grad).mean(0)}
    weights = [*tower.named_parameters(), *learned.named_parameters()]
    return found | {name: p.grad for name, p in weights if p.grad is not None}


def train(parallel: Literal["ddp", "fsdp"], cached: bool, world: World) -> dict[str, Any]:
    """Take two steps, load the states into a new network, and take two more."""
    states: list[Any] = []
    for first, seed in ((0, 0), (2, 1)):
        net, learned = share(build_tower(seed), world, parallel), Learned()
        model = nn.ModuleDict({"net": net, "learned": learned})
        optimizer = build_optimizer(model, SCHEDULE)
        if states:
            load_full_state(net, states[0])
            learned.load_state_dict(states[1])
            load_full_optimizer_state(model, optimizer, states[2])
        norms = [
            float(step_once(net, learned, optimizer, step, cached, world))
            for step in (first, first + 1)
        ]
        moments = full_optimizer_state(model, optimizer)
        states = [full_state(net), learned.state_dict(), moments]
        # Only the first process has them; a checkpoint is read by all.
        states = copy.deepcopy(gather_objects(states, world)[0])
    return {"weights": {**states[0], **states[1]}, "optimizer": states[2], "norms": norms}


def step_once(
    net: nn.Module,
    learned: Learned,
    optimizer: torch.optim.Optimizer,
    step: int,
    cached: bool,
    world: World,
) -> Tensor:
    x_BCT, target_B, items_KE = draw(step, world)
    cached_backward(
        lambda x: F.normalize(net(x), dim=1),
        x_BCT.tensor_split(3 if cached else 1),
        lambda query_QE: info_nce(query_QE, items_KE, learned.scale, target_B, world.gather),
        module=net,
    )
    return take_step(optimizer, 1e-2, 0.5)


def measure(world: World) -> dict[str, Any]:
    """Compute everything that is compared."""
    found: dict[str, Any] = {name: measure_loss(name, world) for name in ("info_nce", "sigmoid")}
    for way in WAYS:
        found[way] = train("ddp" if "ddp" in way else "fsdp", "cached" in way, world)
    found["objects"] = gather_objects({"rank": world.rank}, world)
    return found


def share_blocks(folder: Path, world: World) -> dict[str, Any]:
    """Fill blocks of rows together; the second process takes longer."""
    computed: list[int] = []

    def compute(blocks: Sequence[range]) -> Iterator[BlockRows]:
        for block in blocks:
            time.sleep(world.rank / 4)
            computed.extend(block)
            values = np.array(block, np.float32)[:, None]
            yield BlockRows(values, np.ones(len(block), np.int32), {})

    rows = fill_blocks(folder, 30, str, compute, world)
    return {"computed": computed, "rows": rows.values_MD[:, 0].tolist()}


def main(folder: Path) -> None:
    """Run as one of the two processes."""
    warnings.simplefilter("error")
    with join_world("cpu") as world:
        assert (world.size, world.local_rank) == (2, world.rank)
        found = measure(world) | {"blocks": share_blocks(folder / "rows", world)}
        torch.save(found, folder / f"{world.rank}.pt")
        world.wait()
        assert len(list(folder.glob("*.pt"))) == 2, "went on before the other was there"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Results of each of two processes."""
    folder = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", __file__, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    """Results of one process."""
    return measure(World())


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Entries agree to 1e-5 of the largest one of all, under the same names."""
    assert found.keys() == expected.keys()
    largest = max(float(x.abs().max()) for x in expected.values())
    assert largest > 1e-2
    for name, x in expected.items():
        assert float((found[name] - x).abs().max()) <= 1e-5 * largest, name


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid"])
def test_losses_are_those_of_the_whole_batch(
    loss: str, one: dict[str, Any], two: list[dict[str, Any]]
) -> None:
    """Each process has the loss of all rows, and after DDP the gradients of all weights.

    Queries share items, two items have none, the processes have different numbers of rows.
    """
    assert {"loss", "items", "scale", "stem.weight"} <= one[loss].keys()
    for found in two:
        assert_close(found[loss], one[loss])


@pytest.mark.parametrize("way", WAYS)
def test_steps_are_those_of_one_process(
    way: str, one: dict[str, Any], two: list[dict[str, Any]]
) -> None:
    """AdamW's steps are the same under DDP and FSDP, with gradient caching, and when resumed."""
    for found in two:
        assert_close(found[way]["weights"], one["ddp"]["weights"])
        assert found[way]["norms"] == pytest.approx(one["ddp"]["norms"], rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_states_are_plain(way: str, one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    """Weights have the plain tower's names, in the optimizer's state too."""
    names = list(build_tower().state_dict())
    expected = one["ddp"]["optimizer"]
    assert set(expected["state"]) >= {"net.stem.weight", "learned.scale"}
    for found in (one, *two):
        state = found[way]["optimizer"]
        assert list(found[way]["weights"]) == [*names, "scale", "bias"]
        groups = [group["params"] for group in state["param_groups"]]
        assert groups == [group["params"] for group in expected["param_groups"]]
        assert state["state"].keys() == expected["state"].keys()
        for index, moments in expected["state"].items():
            shapes = {name: x.shape for name, x in state["state"][index].items()}
            assert shapes == {name: x.shape for name, x in moments.items()}


def test_objects_are_exchanged(two: list[dict[str, Any]]) -> None:
    """Every process gets the values of all, by rank."""
    assert [found["objects"] for found in two] == [[{"rank": 0}, {"rank": 1}]] * 2


def test_blocks_are_shared(two: list[dict[str, Any]]) -> None:
    """Each process computes its blocks of rows, waits for the other, and has all rows."""
    assert [found["blocks"]["rows"] for found in two] == [list(range(30))] * 2
    first, second = (found["blocks"]["computed"] for found in two)
    assert first == [*range(8), *range(16, 24)]
    assert second == [*range(8, 16), *range(24, 30)]


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchrun there is one process, and a network is returned unchanged."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_world("cpu") as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)
        assert world.device == torch.device("cpu")
        assert not torch.distributed.is_initialized()
        tower = build_tower()
        assert share(tower, world, "fsdp") is tower
        assert torch.equal(world.gather(torch.arange(3)), torch.arange(3)[None])
        world.wait()


def test_an_incomplete_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A WORLD_SIZE without torchrun's other variables is an error that names them."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="RANK"), join_world("cpu"):
        pass


def test_states_that_do_not_fit_are_refused() -> None:
    """Weights of other names, or an optimizer's state of other weights, are errors."""
    tower, learned = build_tower(), Learned()
    with pytest.raises(RuntimeError, match="nowhere"):
        load_full_state(tower, {"nowhere": torch.zeros(1)})
    other = full_optimizer_state(learned, build_optimizer(learned, SCHEDULE))
    with pytest.raises(RuntimeError, match="stem"):
        load_full_optimizer_state(tower, build_optimizer(tower, SCHEDULE), other)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
