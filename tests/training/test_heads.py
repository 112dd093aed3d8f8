"""A head trained on cached features and folded back is the same function."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from openbind.errors import ConfigError
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    LayoutConfig,
    StageConfig,
)
from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.training.heads import (
    HeadNet,
    HeadPlan,
    classifier_of,
    draw_head,
    features,
    fold_head,
    head_layer,
    trained_layers,
)

SERIES = TowerConfig(
    stem=WindowStem(channels=6, kernel=4, steps=40),
    trunk=TrunkConfig(width=24, depth=2, heads=3, bias_kv=True),
    head=HeadConfig(embed_dim=6, bias=True),
)


def transformer() -> tuple[nn.Module, torch.Tensor]:
    """Return a small tower for IMU data, and a batch for it."""
    tower = initialize(Tower(SERIES), torch.Generator().manual_seed(0))
    return tower, torch.randn(3, 6, 40)


def convolutions() -> tuple[nn.Module, torch.Tensor]:
    """Return a small network for audio, and a batch for it."""
    return AiSFX(AiSFXConfig(channels=(4, 8), embed_dim=6)), torch.rand(3, 1, 16, 12)


STAGES = (StageConfig(repeats=1, kernel=3, stride=2, expand=1, channels=4),)
MIXTURE = EfficientNetLiteConfig(
    stem_channels=4, stages=STAGES, width=8, num_classes=5, embed_dim=6
)


def mixture() -> tuple[nn.Module, torch.Tensor]:
    """Return a small network for images whose head has two parts, and a batch for it."""
    return EfficientNetLite(MIXTURE), torch.rand(3, 3, 16, 16)


@pytest.fixture(params=[transformer, convolutions, mixture])
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor]:
    """A tower and a batch for it."""
    torch.manual_seed(0)
    made: tuple[nn.Module, torch.Tensor] = request.param()
    return made


def test_features(case: tuple[nn.Module, torch.Tensor]) -> None:
    """The head maps the features to the tower's output; the tower's mode is unchanged."""
    tower, batch = case
    features_BD = features(tower.train(), batch)
    assert not features_BD.requires_grad
    assert tower.training
    assert isinstance(head_layer(tower), nn.Linear)
    net = HeadNet(tower, HeadPlan(), features_BD, torch.zeros(3, 1))
    torch.testing.assert_close(net(features_BD), tower.eval()(batch))


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_folding(case: tuple[nn.Module, torch.Tensor], fresh: bool, standardize: bool) -> None:
    """A head trained on cached features and folded back makes the tower the same function."""
    tower, batch = case
    plan = HeadPlan(fresh=fresh, standardize=standardize, dropout=0.5)
    features_BD = features(tower, batch) * 3 + 1
    net = HeadNet(tower, plan, features_BD, torch.zeros(len(features_BD), 1))
    if not fresh:
        torch.testing.assert_close(net.eval()(features_BD), embed(tower, features_BD))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.train()(features_BD).square().sum().backward()
    optimizer.step()
    expected = net.eval()(features_BD)
    assert not torch.allclose(embed(tower, features_BD), expected, atol=1e-3)
    fold_head(net, tower)
    torch.testing.assert_close(embed(tower, features_BD), expected, rtol=1e-5, atol=1e-5)


def embed(tower: nn.Module, features_BD: torch.Tensor) -> torch.Tensor:
    """Embed features by the whole head."""
    head = tower.head if isinstance(tower, EfficientNetLite) else head_layer(tower)
    embed_BE: torch.Tensor = head(features_BD)
    return embed_BE


def test_two_parts() -> None:
    """The projection and the mixture are trained, the classifier stays; a layout has no head."""
    tower, batch = mixture()
    tower.requires_grad_(False)
    for layer in trained_layers(tower):
        layer.requires_grad_(True)
    features_BD = features(tower, batch)
    net = HeadNet(tower, HeadPlan(standardize=True), features_BD, torch.zeros(3, 1))
    before = {name: weight.clone() for name, weight in tower.state_dict().items()}
    net(features_BD).square().sum().backward()
    torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1).step()
    fold_head(net, tower)
    moved = {n for n, weight in tower.state_dict().items() if not torch.equal(weight, before[n])}
    assert moved == {"projection.weight", "projection.bias", "mixture.weight"}
    assert classifier_of(tower).out_features == 5
    with pytest.raises(ConfigError, match="no classifier"):
        classifier_of(convolutions()[0])


def test_standardized_features() -> None:
    """Inputs have mean 0 and std σ / (σ + 0.05), also of one row; a fresh layer isn't rescaled."""
    tower, _ = convolutions()
    plan = HeadPlan(fresh=True, standardize=True)
    features_BD = torch.randn(500, 8) * torch.logspace(-2, 2, 8) + 7
    net = HeadNet(tower, plan, features_BD, torch.zeros(len(features_BD), 1))
    assert torch.equal(net.linear.weight, head_layer(tower).weight)
    scaled_BD = (features_BD - net.mean_D) / net.std_D
    sigma_D = features_BD.std(0, correction=0)
    torch.testing.assert_close(scaled_BD.mean(0), torch.zeros(8), rtol=0, atol=1e-3)
    torch.testing.assert_close(scaled_BD.std(0, correction=0), sigma_D / (sigma_D + 0.05))
    one = HeadNet(tower, plan, features_BD[:1], torch.zeros(1, 1))
    assert one.eval()(features_BD[:1]).isfinite().all()


@pytest.mark.parametrize("center", [0.0, 0.7])
def test_ridge(center: float) -> None:
    """The initial layer is scikit-learn's ridge regression onto the centered targets."""
    tower, _ = transformer()
    plan = HeadPlan(standardize=True, ridge=0.3, center=center)
    features_ND = torch.randn(60, head_layer(tower).in_features) * 3 + 1
    targets_NE = torch.randn(60, head_layer(tower).out_features) + features_ND[:, :1]
    net = HeadNet(tower, plan, features_ND, targets_NE).eval()
    scaled_ND = (features_ND - net.mean_D) / net.std_D
    left_NE = targets_NE - center * targets_NE.mean(0)
    reference = Ridge(alpha=0.3 * 60).fit(scaled_ND.numpy(), left_NE.numpy())
    expected = torch.from_numpy(reference.predict(scaled_ND.numpy())).float()
    torch.testing.assert_close(net(features_ND), expected, rtol=1e-3, atol=1e-3)


def test_weights() -> None:
    """A row of weight 3 counts as three equal rows do."""
    tower, _ = transformer()
    plan = HeadPlan(standardize=True, ridge=0.3, center=0.5)
    features_ND = torch.randn(9, head_layer(tower).in_features)
    targets_NE = torch.randn(9, head_layer(tower).out_features)
    weight_N = torch.tensor([3.0] * 2 + [1.0] * 7)
    times_N = weight_N.long()
    net = HeadNet(tower, plan, features_ND, targets_NE, weight_N)
    repeated = (rows.repeat_interleave(times_N, 0) for rows in (features_ND, targets_NE))
    torch.testing.assert_close(
        net.eval()(features_ND),
        HeadNet(tower, plan, *repeated).eval()(features_ND),
        rtol=1e-4,
        atol=1e-5,
    )


def test_drawing() -> None:
    """A drawn head follows from its generator: U(±1/√inputs), with a bias of 0."""
    layer, again = nn.Linear(8, 6), nn.Linear(8, 6)
    for one in (layer, again):
        draw_head(one, torch.Generator().manual_seed(3))
    assert torch.equal(layer.weight, again.weight)
    assert layer.weight.abs().max() <= 8**-0.5
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ridge": 0.3}, "ridge: expected a number above 0 with standardize"),
        (
            {"center": 0.5, "standardize": True},
            "center: .* with ridge",
        ),
        ({"center": 1.5, "ridge": 1.0, "standardize": True}, "center: .* found 1.5"),
        ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\)"),
    ],
)
def test_impossible_plans(values: dict[str, Any], message: str) -> None:
    """Contradictory plans are refused."""
    with pytest.raises(ValueError, match=message):
        HeadPlan(**values)


def test_no_last_linear() -> None:
    """A network whose output isn't one Linear's has no head to train."""
    layout = LayoutConfig(stage=1, grid=2, dim=2)
    config = dataclasses.replace(MIXTURE, layout=layout)
    without = dataclasses.replace(SERIES, head=HeadConfig(embed_dim=24, project=False))
    for tower in (EfficientNetLite(config), Tower(without)):
        with pytest.raises(ConfigError, match="has no last Linear"):
            head_layer(tower)
