"""A trained tower starts as planned and is finished as a plain network."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

import openbind
from openbind.errors import ConfigError
from openbind.modalities.imu import ImuSettings
from openbind.training.distributed import World
from openbind.training.heads import HeadPlan, features
from openbind.training.recipe import Hardware
from openbind.training.towers import TowerPlan
from openbind.training.trained_tower import TrainedTower, choose_settings

SMALL = {
    "stem": {"channels": 6, "kernel": 8, "steps": 64},
    "trunk": {"width": 16, "depth": 2, "heads": 2},
    "head": {"bias": True},
}


def begin(
    world: Any,
    plan: TowerPlan,
    ema: float | None = None,
    rows: int = 0,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
) -> TrainedTower:
    space = openbind.load(world.folder / "start")
    if plan.start == "space":
        space = with_imu(world)
    trained_tower = TrainedTower(plan, "imu", space, seed=0)
    kept = None
    if rows:
        found = features(trained_tower.tower, torch.randn(rows, 6, 64))
        kept = found, torch.zeros(rows, trained_tower.spec.config.head.embed_dim)
    trained_tower.begin(hardware, World(), ema, kept)
    return trained_tower


def with_imu(world: Any) -> openbind.Space:
    """Return the starting space with an untrained IMU tower."""
    from openbind.training.result import extend_space

    space = openbind.load(world.folder / "start")
    trained_tower = TrainedTower(TowerPlan(config=SMALL), "imu", space, seed=3)
    tower = (trained_tower.spec, trained_tower.tower)
    return extend_space(space, "with-imu", {"imu": tower}, {"imu": ImuSettings()}, {"imu": 5.0})


def learn(trained_tower: TrainedTower, x: torch.Tensor) -> None:
    """Take one step of gradient descent."""
    trained_tower.embed(x)[:, 0].sum().backward()
    with torch.no_grad():
        for weight in trained_tower.net.parameters():
            if weight.grad is not None:
                weight -= 0.1 * weight.grad
    trained_tower.update_average()


@pytest.mark.parametrize(
    "plan",
    [
        TowerPlan(config=SMALL),
        TowerPlan(start="space", train="lora"),
        TowerPlan(start="space", train="full"),
    ],
    ids=["scratch", "lora", "full"],
)
def test_finished(world: Any, plan: TowerPlan) -> None:
    """The finished tower computes what the trained one does, under plain names."""
    trained_tower, x = begin(world, plan), torch.randn(3, 6, 64)
    learn(trained_tower, x)
    finished = trained_tower.finished_tower(trained_tower.state())
    trained_tower.net.eval()
    with torch.no_grad():
        assert torch.allclose(finished(x), trained_tower.net(x), atol=1e-5)
    plain = TrainedTower(TowerPlan(config=SMALL), "imu", openbind.load(world.folder / "start"), 0)
    assert finished.state_dict().keys() == plain.tower.state_dict().keys()


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta")
def test_device(world: Any) -> None:
    """The tower is trained on the run's device, and finished there for validation."""
    space, device = openbind.load(world.folder / "start"), torch.device("meta")
    trained_tower = TrainedTower(TowerPlan(config=SMALL), "imu", space, seed=0, device=device)
    assert {weight.device for weight in trained_tower.tower.parameters()} == {device}
    trained_tower.begin(Hardware(), World(device=device), None)
    state = {name: torch.zeros(x.shape) for name, x in trained_tower.net.state_dict().items()}
    finished = trained_tower.finished_tower(state)
    assert {weight.device for weight in finished.parameters()} == {device}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's own, while it compiles
def test_compiled(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled tower computes the same, with plain names of weights, and is finished plain."""
    calls: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        calls.append(len(inputs))  # C++ code for each operation would take minutes
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    x = torch.randn(3, 6, 64)
    plain = begin(world, TowerPlan(config=SMALL))
    compiled = begin(world, TowerPlan(config=SMALL), hardware=Hardware(compile=True))
    assert torch.allclose(compiled.embed(x), plain.embed(x), atol=1e-5)
    assert len(calls) > 1  # more than the test of the compiler
    learn(compiled, x)
    learn(plain, x)
    assert compiled.state().keys() == plain.state().keys()
    for name, weight in plain.state().items():
        assert torch.allclose(compiled.state()[name], weight, atol=1e-5)
    finished = compiled.finished_tower(compiled.state())
    assert torch.allclose(finished(x), plain.finished_tower(plain.state())(x), atol=1e-5)


def test_no_compiler(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch.compile doesn't work, hardware.compile is refused before training."""

    def broken(*arguments: Any, **settings: Any) -> Any:
        raise RuntimeError("no compiler found\nlong traceback")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=r"hardware\.compile: .*no compiler found"):
        begin(world, TowerPlan(config=SMALL), hardware=Hardware(compile=True))


def test_head(world: Any) -> None:
    """A head trained on standardized features is folded back."""
    plan = TowerPlan(start="space", train="head", head=HeadPlan(fresh=True, standardize=True))
    trained_tower, x = begin(world, plan, rows=20), torch.randn(3, 6, 64)
    kept = features(trained_tower.tower, x)
    learn(trained_tower, kept)
    finished = trained_tower.finished_tower(trained_tower.state())
    trained_tower.net.eval()
    with torch.no_grad():
        assert torch.allclose(finished(x), trained_tower.net(kept), atol=1e-5)


def test_average(world: Any) -> None:
    """The moving average is between the initial and the final weights."""
    trained_tower = begin(world, TowerPlan(config=SMALL), ema=0.5)
    before = trained_tower.state()["head.proj.weight"].clone()
    trained_tower.update_average()
    learn(trained_tower, torch.randn(3, 6, 64))
    after, average = trained_tower.state()["head.proj.weight"], trained_tower.average_state()
    assert average is not None
    assert torch.allclose(average["head.proj.weight"], (before + after) / 2, atol=1e-6)


def test_settings(world: Any) -> None:
    """Preprocessing is the modality's or the space's, with the plan's changes."""
    start = openbind.load(world.folder / "start")
    plan = TowerPlan(config=SMALL, settings={"steps": 64})
    assert choose_settings(plan, "imu", start) == ImuSettings(steps=64)
    with pytest.raises(ConfigError, match=r"towers\.imu\.settings\.step: .*'steps'"):
        choose_settings(TowerPlan(config=SMALL, settings={"step": 64}), "imu", start)


def test_nothing_to_recompute(world: Any) -> None:
    """Activation checkpointing needs transformer blocks."""
    plan = TowerPlan(start="space", train="head")
    space = with_imu(world)
    trained_tower = TrainedTower(plan, "imu", space, seed=0)
    trained_tower.tower.trunk = torch.nn.Identity()
    with pytest.raises(ConfigError, match="the tower of imu has no"):
        kept = torch.randn(4, 16), torch.zeros(4, 1)
        trained_tower.begin(Hardware(activation_checkpointing=True), World(), None, kept)


def test_learned_fraction(world: Any) -> None:
    """The result is interpolated between the start's weights and the trained ones."""
    towers = []
    for learned in (1.0, 0.25):
        torch.manual_seed(0)
        plan = TowerPlan(start="space", train="head", learned=learned)
        trained_tower = begin(world, plan, rows=4)
        learn(trained_tower, torch.ones(2, 16))
        towers.append(trained_tower.finished_tower(trained_tower.state()).head.proj.weight)
    start = trained_tower.tower.head.proj.weight
    assert not torch.allclose(towers[0], start)
    torch.testing.assert_close(towers[1], start + 0.25 * (towers[0] - start))


def test_no_classes_to_keep(world: Any) -> None:
    """Only a head of a tower with a classifier keeps its names."""
    with pytest.raises(ConfigError, match="train: head"):
        begin(world, TowerPlan(config=SMALL)).num_classes()
    with pytest.raises(ConfigError, match="no classifier"):
        begin(world, TowerPlan(start="space", train="head"), rows=4).num_classes()
