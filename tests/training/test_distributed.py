"""Invariants of several processes: whatever is shared out, the numbers are those of one process.

torchrun starts this very file in two processes, once. They and the tests' own process measure the
same things; the results must agree.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.errors import ConfigError
from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
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
    """What a loss learns beside the tower."""

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
    """Take two steps, move all that was learned into a fresh network, and take two more."""
    states: tuple[Any, ...] = ()
    for first, seed in ((0, 0), (2, 1)):
        net, learned = share(build_tower(seed), world, parallel), Learned()
        optimizer = build_optimizer(nn.ModuleList([net, learned]), SCHEDULE)
        if states:
            load_full_state(net, states[0])
            learned.load_state_dict(states[1])
            load_full_optimizer_state(optimizer, states[2])
        norms = [
            float(step_once(net, learned, optimizer, step, cached, world))
            for step in (first, first + 1)
        ]
        states = (full_state(net), learned.state_dict(), full_optimizer_state(optimizer))
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
    """Measure everything that is compared."""
    found: dict[str, Any] = {name: measure_loss(name, world) for name in ("info_nce", "sigmoid")}
    for way in WAYS:
        found[way] = train("ddp" if "ddp" in way else "fsdp", "cached" in way, world)
    found["objects"] = gather_objects({"rank": world.rank}, world)
    return found


def main(folder: Path) -> None:
    """Be one of the two processes."""
    warnings.simplefilter("error")
    with join_world("cpu") as world:
        assert world.size == 2
        torch.save(measure(world), folder / f"{world.rank}.pt")
        world.wait()
        assert len(list(folder.glob("*.pt"))) == 2, "went on before the other was there"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes measured."""
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
    """What one process measures."""
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
    """AdamW goes the same way under DDP and FSDP, with gradient caching, and when it is resumed."""
    for found in two:
        assert_close(found[way]["weights"], one["ddp"]["weights"])
        assert found[way]["norms"] == pytest.approx(one["ddp"]["norms"], rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_states_are_plain(way: str, one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    """Weights have the tower's own names, and the optimizer's state the form it has alone."""
    names = list(build_tower().state_dict())
    for found in (one, *two):
        state, expected = found[way]["optimizer"], one["ddp"]["optimizer"]
        assert list(found[way]["weights"]) == [*names, "scale", "bias"]
        assert state["param_groups"] == expected["param_groups"]
        assert state["state"].keys() == expected["state"].keys()
        for index, moments in expected["state"].items():
            shapes = {name: x.shape for name, x in state["state"][index].items()}
            assert shapes == {name: x.shape for name, x in moments.items()}


def test_objects_are_exchanged(two: list[dict[str, Any]]) -> None:
    """Every process gets what each has, by rank."""
    assert [found["objects"] for found in two] == [[{"rank": 0}, {"rank": 1}]] * 2


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchrun there is one process, the first, and a network stays as it is."""
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
    """A WORLD_SIZE that torchrun didn't set is an error that says what is missing."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="RANK"), join_world("cpu"):
        pass


def test_states_are_copies() -> None:
    """What was copied out, or loaded, doesn't move with the weights afterwards."""
    tower, learned = build_tower(), Learned()
    optimizer = build_optimizer(nn.ModuleList([tower, learned]), SCHEDULE)
    step_once(tower, learned, optimizer, 0, False, World())
    weights, moments = full_state(tower), full_optimizer_state(optimizer)
    load_full_optimizer_state(optimizer, moments)
    before = {name: x.clone() for name, x in weights.items()}
    first = {name: x.clone() for name, x in moments["state"][0].items()}
    step_once(tower, learned, optimizer, 1, False, World())
    assert not torch.equal(tower.stem.weight, before["stem.weight"])
    for name, x in before.items():
        assert torch.equal(weights[name], x)
    for name, x in first.items():
        assert torch.equal(moments["state"][0][name], x)


def test_states_that_do_not_fit_are_refused() -> None:
    """Weights of other names, or moments of another number of weights, are errors."""
    tower = build_tower()
    with pytest.raises(RuntimeError, match="nowhere"):
        load_full_state(tower, {"nowhere": torch.zeros(1)})
    other = full_optimizer_state(build_optimizer(Learned(), SCHEDULE))
    with pytest.raises(ValueError, match="group"):
        load_full_optimizer_state(build_optimizer(tower, SCHEDULE), other)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
