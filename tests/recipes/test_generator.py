"""Settings of the generator are chosen on classes that no number comes from."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from openbind.evaluation.judge import read_judge, shipped_judge
from openbind.generation.network import Condition, Network, NetworkConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "starter"


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RECIPE))
    monkeypatch.syspath_prepend(str(RECIPE / "generator"))
    before = set(sys.modules)
    module = importlib.import_module("choose_settings")
    for name in set(sys.modules) - before:
        monkeypatch.delitem(sys.modules, name)
    return module


def test_parts_by_class(chooser: ModuleType) -> None:
    """Over a hundred nouns are left to report; a noun's part doesn't depend on the others."""
    names = read_judge(shipped_judge()).names
    chosen_K = chooser.is_chosen_on(names)
    assert 15 <= chosen_K.sum() <= 40
    assert (~chosen_K).sum() >= 100
    assert list(chooser.is_chosen_on(names[::-1])) == list(chosen_K[::-1])
    class_N = np.array([0, 1, 1, 2])
    items = chooser.Items(vectors_NE=torch.eye(4), class_N=class_N, modality="audio")
    chosen = items.of(chosen_K[class_N])
    rest = items.of(~chosen_K[class_N])
    assert len(chosen.class_N) + len(rest.class_N) == 4
    assert not set(chosen.class_N) & set(rest.class_N)


def test_carried_over(chooser: ModuleType) -> None:
    """A network reads contents in other axes as it read them before."""
    carry_over = importlib.import_module("carry_over")
    torch.manual_seed(0)
    config = NetworkConfig()
    network = Network(config).eval()
    for layer in (network.end, network.sketch):
        torch.nn.init.normal_(layer.weight, std=0.05)
    before_ND = F.normalize(torch.randn(2000, config.what_dim), dim=1)
    turn_DD = torch.linalg.qr(torch.randn(config.what_dim, config.what_dim)).Q
    known = Condition(
        what_BD=before_ND[:2],
        where_BD=F.normalize(torch.randn(2, config.where_dim), dim=1),
        sigma_B=torch.zeros(2),
        near_BKD=before_ND[2:10].view(2, 4, -1),
        known_B3=torch.ones(2, 3, dtype=torch.bool),
    )
    turned = replace(known, what_BD=known.what_BD @ turn_DD, near_BKD=known.near_BKD @ turn_DD)
    noisy, time_B = torch.randn(2, 3, config.size, config.size), torch.full((2,), 0.5)
    with torch.no_grad():
        expected, changed = network(noisy, time_B, known), network(noisy, time_B, turned)
        cosine_N = carry_over.fit(network, before_ND @ turn_DD, before_ND)
        found = network(noisy, time_B, turned)
    assert cosine_N.min() > 0.999
    far = (changed - expected).abs().max()
    assert (found - expected).abs().max() < 0.02 * far
