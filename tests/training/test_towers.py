"""The trained tower is as planned: its weights and trained parameters; bad plans are refused.

A head trained alone on cached features, and put back, is the same function as before.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.presets import PRESETS
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space
from openbind.training.heads import features, head_layer
from openbind.training.lora import merge_lora
from openbind.training.towers import TowerPlan, build_tower, trained_names

DIM = 6
SERIES = TowerConfig(
    stem=WindowStem(channels=6, kernel=4, steps=40),
    trunk=TrunkConfig(width=24, depth=2, heads=3, bias_kv=True, drop_path=0.2),
    head=HeadConfig(embed_dim=DIM),
)
SOUND = AiSFXConfig(channels=(4, 8), embed_dim=DIM)
SERIES_INPUT, SOUND_INPUT = torch.randn(3, 6, 40), torch.rand(3, 1, 16, 12)


@pytest.fixture
def space() -> Space:
    """A transformer for IMU data, in half precision, and a convolutional network for audio."""
    torch.manual_seed(0)
    kinds = {"imu": ("transformer", SERIES), "audio": ("aisfx", SOUND)}
    config = SpaceConfig(
        name="mini",
        dim=DIM,
        towers={n: TowerSpec(kind=kind, config=config) for n, (kind, config) in kinds.items()},
        modalities={n: Binding(tower=n, settings=MODALITIES.get(n).settings()) for n in kinds},
    )
    tower = initialize(Tower(SERIES), torch.Generator().manual_seed(0))
    return Space(config, {"imu": tower.to(torch.bfloat16), "audio": AiSFX(SOUND)})


def plan(**values: Any) -> TowerPlan:
    return from_dict(TowerPlan, values)


def small(**values: Any) -> TowerPlan:
    """A small network from scratch."""
    return plan(config={**to_dict(SERIES), **values})


def equal_states(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    same = (torch.equal(first[key], second[key]) for key in first)
    return first.keys() == second.keys() and all(same)


def test_scratch(space: Space) -> None:
    """Initial weights depend on seed and modality only; the global random state is unchanged."""
    torch.manual_seed(3)
    state = torch.get_rng_state()
    spec, tower = build_tower(small(), "imu", space, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert spec == TowerSpec(kind="transformer", config=SERIES)
    assert tower.training
    assert {p.dtype for p in tower.parameters()} == {torch.float32}
    assert len(trained_names(tower)) == len(list(tower.parameters()))
    torch.manual_seed(4)
    assert equal_states(tower, build_tower(small(), "imu", space, 5)[1])
    for other in (build_tower(small(), "imu", space, 6), build_tower(small(), "audio", space, 5)):
        assert not equal_states(tower, other[1])


def test_sizes(space: Space) -> None:
    """A size is the preset's tower for the modality, with nested changes of the config."""
    changes = {"trunk": {"depth": 1, "patch_dropout": 0.5}, "stem": {"steps": 80}}
    spec, tower = build_tower(plan(size="tiny", config=changes), "imu", space, 0)
    expected = to_dict(PRESETS["tiny"]().towers["imu"].config)
    expected["trunk"].update(changes["trunk"])
    expected["stem"].update(changes["stem"])
    expected["head"]["embed_dim"] = DIM
    assert to_dict(spec.config) == expected
    assert tower.eval()(torch.randn(1, 6, 80)).shape == (1, DIM)


def test_other_kinds(space: Space) -> None:
    """Other kinds of towers are initialized from the seed too."""
    chosen = plan(kind="aisfx", config={"channels": [4, 8]})
    state = torch.get_rng_state()
    spec, tower = build_tower(chosen, "audio", space, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert spec == TowerSpec(kind="aisfx", config=SOUND)
    assert equal_states(tower, build_tower(chosen, "audio", space, 0)[1])
    assert not equal_states(tower, build_tower(chosen, "audio", space, 1)[1])


@pytest.mark.parametrize("modality", ["imu", "audio"])
def test_from_the_space(space: Space, modality: str) -> None:
    """The space's weights are copied in float32; training doesn't change the space."""
    old = space.towers[modality]
    before = {key: value.clone() for key, value in old.state_dict().items()}
    spec, tower = build_tower(plan(start="space"), modality, space, 0)
    assert spec == space.config.towers[modality]
    for key, value in tower.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[key].float())
    assert len(trained_names(tower)) == len(before)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.zero_()
    assert all(torch.equal(before[key], value) for key, value in old.state_dict().items())


def test_what_may_differ_from_the_space(space: Space) -> None:
    """Settings of training may differ, a missing bias is 0; sizes may not differ."""
    changes = {"trunk": {"drop_path": 0.7}, "head": {"dropout": 0.5, "bias": True}}
    spec, tower = build_tower(plan(start="space", config=changes), "imu", space, 0)
    assert spec.config.trunk.drop_path == 0.7
    assert tower.trunk.blocks[-1].drop_path == 0.7
    with torch.no_grad():
        expected = space.towers["imu"].float().eval()(SERIES_INPUT)
        torch.testing.assert_close(tower.eval()(SERIES_INPUT), expected)
    for part in ({"depth": 3}, {"depth": 1}, {"width": 48}, {"pre_norm": True}):
        with pytest.raises(ConfigError, match=r"towers.imu.config: .* don't fit"):
            build_tower(plan(start="space", config={"trunk": part}), "imu", space, 0)


@pytest.mark.parametrize(
    ("modality", "batch", "expected"),
    [
        ("imu", SERIES_INPUT, ["head.proj.weight"]),
        ("audio", SOUND_INPUT, ["head.weight", "head.bias"]),
    ],
)
def test_head_only(space: Space, modality: str, batch: torch.Tensor, expected: list[str]) -> None:
    """Only the last Linear is trained; it maps the features to the tower's output."""
    _, tower = build_tower(plan(start="space", train="head"), modality, space, 0)
    assert list(trained_names(tower)) == expected
    features_BD = features(tower, batch)
    assert not features_BD.requires_grad
    assert tower.training
    assert isinstance(head_layer(tower), nn.Linear)
    torch.testing.assert_close(head_layer(tower)(features_BD), tower.eval()(batch))


def test_fresh_heads(space: Space) -> None:
    """A fresh head is initialized from the seed, with a bias of 0; the rest is the space's."""
    chosen = plan(start="space", train="head", head={"fresh": True})
    tower, again, other = (build_tower(chosen, "audio", space, s)[1] for s in (0, 0, 1))
    head, old = head_layer(tower), head_layer(space.towers["audio"])
    assert torch.equal(head.weight, head_layer(again).weight)
    assert not torch.equal(head.weight, head_layer(other).weight)
    assert not torch.equal(head.weight, old.weight)
    assert head.weight.abs().max() <= 8**-0.5
    assert not head.bias.any()
    assert equal_states(tower.blocks, space.towers["audio"].blocks)


@pytest.mark.slow
def test_lora(space: Space) -> None:
    """Adapters are initialized from the seed; merged, the tower is plain again."""
    chosen = plan(start="space", train="lora", lora={"rank": 2, "layers": ["fc1", "proj"]})
    state = torch.get_rng_state()
    _, tower = build_tower(chosen, "imu", space, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert equal_states(tower, build_tower(chosen, "imu", space, 0)[1])
    assert not equal_states(tower, build_tower(chosen, "imu", space, 1)[1])
    assert len(trained_names(tower)) == (2 + 1) * 2
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            if "lora" in name:
                parameter.normal_()
    merged = merge_lora(tower)
    assert merged.state_dict().keys() == space.towers["imu"].state_dict().keys()
    with torch.no_grad():
        found, expected = merged.eval()(SERIES_INPUT), tower.eval()(SERIES_INPUT)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "modality", "message"),
    [
        ({"start": "space"}, "depth", "mini has no depth, only imu, audio; use start: scratch"),
        ({"size": "tiny", "kind": "aisfx"}, "imu", "towers.imu.kind: 'aisfx', but"),
        ({"config": {"trunk": {"width": 8}}}, "imu", "towers.imu.config.trunk.depth: missing"),
        ({"size": "tiny", "config": {"trnk": {}}}, "imu", "trnk: unknown key; did you mean"),
        ({"size": "tiny", "config": {"trunk": {"dept": 1}}}, "imu", "did you mean 'depth'"),
        ({"size": "tiny", "config": {"head": {"embed_dim": 7}}}, "imu", "has 6 dimensions"),
        ({"size": "tiny", "config": {"head": {"project": False}}}, "imu", "is the width 256"),
        ({"size": "tiny", "config": {"head": 3}}, "imu", "head: expected a mapping"),
        ({"kind": "aisfx", "config": {"embed_dim": 7}}, "audio", "embed_dim is 7"),
        (
            {"start": "space", "train": "head", "head": {"standardize": True}},
            "imu",
            "towers.imu.head.standardize: the last Linear needs a bias",
        ),
        (
            {"start": "space", "train": "lora", "lora": {"layers": ["qkv"]}},
            "imu",
            "towers.imu.lora.layers: no Linear named 'qkv'",
        ),
        ({"start": "space", "train": "lora"}, "audio", "no Linear named 'in_proj'; known: head"),
    ],
)
def test_plans_that_dont_fit(
    space: Space, values: dict[str, Any], modality: str, message: str
) -> None:
    """Plans that don't fit the space, the preset or the tower are refused; the key is named."""
    with pytest.raises(ConfigError, match=message):
        build_tower(plan(**values), modality, space, 0)


def test_unknown_names(space: Space) -> None:
    """Unknown sizes and kinds are refused; a preset without the modality lists its own."""
    for values, message in (
        ({"size": "tiney"}, "no size named 'tiney'; did you mean 'tiny'"),
        ({"kind": "transfomer", "config": {"x": 1}}, "did you mean 'transformer'"),
    ):
        with pytest.raises(UnknownNameError, match=message):
            build_tower(plan(**values), "imu", space, 0)
    with pytest.raises(ConfigError, match=r"tiny has no radar, only .*config"):
        build_tower(plan(size="tiny"), "radar", space, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs a size or a config"),
        ({"start": "space", "size": "tiny"}, "start: space"),
        ({"size": "tiny", "train": "head"}, "start: space"),
        ({"size": "tiny", "train": "lora"}, "start: space"),
        ({"size": "tiny", "head": {"fresh": True}}, "head.fresh"),
        ({"start": "space", "head": {"dropout": 0.1}}, "need train: head"),
        ({"start": "space", "head": {"standardize": True}}, "need train: head"),
        ({"start": "space", "lora": {"rank": 4}}, "needs train: lora"),
        ({"start": "space", "train": "head", "head": {"dropout": 1.0}}, r"head: dropout"),
        ({"start": "spce"}, "expected one of"),
        ({"size": "tiny", "loar": {}}, "did you mean 'lora'"),
    ],
)
def test_impossible_plans(values: dict[str, Any], message: str) -> None:
    """Values without effect, or that contradict each other, are refused."""
    with pytest.raises(ConfigError, match=message):
        plan(**values)
