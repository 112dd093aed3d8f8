"""A mixture learned from items of few classes names them as a logistic regression does."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from openbind.errors import ConfigError
from openbind.modalities import MODALITIES
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.class_mixture import MixtureConfig, MixtureHead
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space
from openbind.training.class_mixture import MixturePlan, fit_logistic
from openbind.training.heads import HeadNet, HeadPlan, fold_head
from openbind.training.towers import TowerPlan, build_tower

CHANNELS = (4, 8, 8, 16)
PLAN = HeadPlan(standardize=True, ridge=0.5, center=1.0, mixture=MixturePlan())


def made_up() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features (60, 16) of three classes far from zero, classes and class vectors (3, 6)."""
    class_N = torch.arange(60) % 3
    features_ND = torch.randn(3, 16)[class_N] * 3 + torch.randn(60, 16) + 20
    return features_ND, class_N, F.normalize(torch.randn(3, 6), dim=1)


def test_logistic_regression() -> None:
    """It has the probabilities of scikit-learn's."""
    features_ND, class_N, _ = made_up()
    scaled_ND = (features_ND - features_ND.mean(0)) / features_ND.std(0)
    decay, share_N = 3e-3, torch.full((60,), 1 / 60)
    weight_KD, bias_K = fit_logistic(scaled_ND, class_N, share_N, 3, decay)
    own = (scaled_ND @ weight_KD.T + bias_K).softmax(1)
    peer = LogisticRegression(C=1 / (60 * decay), tol=1e-8, max_iter=1000)
    expected = peer.fit(scaled_ND.numpy(), class_N.numpy()).predict_proba(scaled_ND.numpy())
    torch.testing.assert_close(own, torch.from_numpy(expected).float(), rtol=0, atol=5e-3)


def test_learned_head() -> None:
    """Folded into a tower, it embeds raw features at their classes' vectors, minus the mean."""
    features_ND, class_N, target_KE = made_up()
    config = AiSFXConfig(channels=CHANNELS, embed_dim=6, mixture=MixtureConfig(classes=3))
    tower = AiSFX(config)
    net = HeadNet(tower, PLAN, features_ND, target_KE[class_N])
    fold_head(net, tower)
    torch.testing.assert_close(net.eval()(features_ND), tower.head(features_ND), rtol=0, atol=1e-3)
    centered_KE = F.normalize(target_KE - target_KE.mean(0), dim=1)
    score_NK = F.normalize(tower.head(features_ND), dim=1) @ centered_KE.T
    assert (score_NK.argmax(1) == class_N).all()
    assert isinstance(tower.head, MixtureHead)
    mixture_NE = tower.head.beside(features_ND)
    assert ((mixture_NE @ centered_KE.T).argmax(1) == class_N).all()


def test_wrong_towers() -> None:
    """Another number of classes, and a tower without a mixture, are said."""
    features_ND, class_N, target_KE = made_up()
    for mixture, reason in ((MixtureConfig(classes=4), "3 different vectors"), (None, "has none")):
        tower = AiSFX(AiSFXConfig(channels=CHANNELS, embed_dim=6, mixture=mixture))
        with pytest.raises(ConfigError, match=reason):
            HeadNet(tower, PLAN, features_ND, target_KE[class_N])


@pytest.mark.parametrize("options", [{"standardize": False}, {"fresh": True, "ridge": None}])
def test_plans_that_contradict(options: dict[str, object]) -> None:
    """The mixture is learned from scaled features, and isn't drawn."""
    values = {"standardize": True, "mixture": MixturePlan(), **options}
    with pytest.raises(ValueError, match="mixture: only with"):
        HeadPlan(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above 0"):
        MixturePlan(decay=0.0)


@pytest.mark.parametrize("before", [None, MixtureConfig(classes=5)])
def test_start(before: MixtureConfig | None) -> None:
    """A tower without a mixture, or with another one, keeps its body and gets the planned one."""
    space = small_space(before)
    config = {"mixture": {"classes": 3, "temperature": 1.0}}
    plan = TowerPlan(start="space", train="head", config=config, head=PLAN)
    spec, tower = build_tower(plan, "audio", space, seed=0)
    assert isinstance(tower, AiSFX)
    assert isinstance(tower.head, MixtureHead)
    assert tower.head.beside.classifier.out_features == 3
    old = space.towers["audio"].state_dict()
    assert torch.equal(tower.blocks.state_dict()["0.first.weight"], old["blocks.0.first.weight"])
    name = "head.weight" if before is None else "head.proj.weight"
    assert torch.equal(tower.head.proj.weight, old[name])
    assert spec.config.mixture == MixtureConfig(classes=3, temperature=1.0)


def test_fresh_heads() -> None:
    """A fresh head forgets the mixture."""
    plan = TowerPlan(start="space", train="head", head=HeadPlan(fresh=True))
    _, tower = build_tower(plan, "audio", small_space(MixtureConfig(classes=5)), seed=0)
    assert isinstance(tower.head, MixtureHead)
    assert not tower.head.beside.mixture.weight.any()


def small_space(mixture: MixtureConfig | None) -> Space:
    """Return a space of audio alone, with a small tower."""
    config = AiSFXConfig(channels=CHANNELS, embed_dim=6, mixture=mixture)
    spec = TowerSpec(kind="aisfx", config=config)
    binding = Binding(tower="audio", settings=MODALITIES.get("audio").settings())
    whole = SpaceConfig(name="small", dim=6, towers={"audio": spec}, modalities={"audio": binding})
    return Space(whole, {"audio": AiSFX(config)})
