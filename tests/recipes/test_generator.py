"""Settings of the generator are chosen on classes that no number comes from."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from openbind.evaluation.judge import read_judge, shipped_judge

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
