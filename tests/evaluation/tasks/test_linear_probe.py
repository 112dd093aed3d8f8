"""Probes are tested on items that they weren't trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.probes import ProbeSettings
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import Labeled, LinearProbe, split_groups

PROBE = ProbeSettings(lr=0.1, epochs=30, shots=(1, None), seeds=2)
TEXTS = ["a dog", "the rain", "a barking dog", "heavy rain", "dogs", "rain drops"]


def make_task(**changes: Any) -> Classification:
    """Six texts of two classes in three groups."""
    values: dict[str, Any] = {
        "name": "zero-shot",
        "modality": "text",
        "items": TEXTS,
        "targets": [(index % 2,) for index in range(6)],
        "classes": [("dog",), ("rain",)],
        "templates": ("{}",),
        "groups": [0, 0, 1, 1, 2, 2],
    }
    return Classification(**{**values, **changes})


def test_groups(starter: openbind.Space) -> None:
    """Each group is tested by a probe of the others."""
    result = LinearProbe.of(make_task(), probe=PROBE).measure(Embedder(starter))
    assert [score.count for score in result.scores] == [6, 6]
    assert result.scores[-1].value == 1
    splits = split_groups(np.arange(6)[:, None], np.arange(6), np.array([0, 0, 1, 1, 2, 2]))
    assert [split.test_N.tolist() for split in splits] == [[0, 1], [2, 3], [4, 5]]
    assert all(set(split.train_M) & set(split.test_N) == set() for split in splits)


def test_training_split(starter: openbind.Space) -> None:
    """With a training split that alone is learned; without a usable item of it there is none."""
    train = Labeled(items=["rain", "", "a dog"], targets=[0, 0, 1])
    probe = LinearProbe.of(make_task(), train, PROBE)
    result = probe.measure(Embedder(starter))
    assert result.scores[-1].value == 0  # the labels of the training split are swapped
    assert len(result.excluded) == 1
    assert (probe.groups, probe.learns) == (None, True)
    with pytest.raises(InputError, match="training split"):
        LinearProbe.of(make_task(), Labeled(items=[""], targets=[0])).measure(Embedder(starter))
