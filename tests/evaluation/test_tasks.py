"""Tasks are plain values, told apart by their type."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from openbind.evaluation.tasks import Classification, PairRetrieval, Score, Side, TextRetrieval


def test_values() -> None:
    """Defaults: one part, accuracy, no interval; nothing can be changed."""
    task = Classification(
        name="zero-shot",
        modality="audio",
        paths=[Path("a.wav")],
        targets=[(0,)],
        classes=[("dog",), ("cat", "kitten")],
        templates=("{}",),
    )
    assert (task.groups, task.metric, task.train, task.settings) == (None, "accuracy", None, {})
    assert (task.probe.rate, task.probe.weight_decay, task.probe.epochs) == (1.6e-3, 0.05, 50)
    with pytest.raises(FrozenInstanceError):
        task.name = "other"  # type: ignore[misc]
    retrieval = TextRetrieval(name="r", modality="audio", paths=[], captions=[])
    assert retrieval != task
    pairs = PairRetrieval(name="r", modality="a", paths=[], other=Side(modality="b", paths=[]))
    assert (pairs.settings, pairs.other.settings) == ({}, {})
    assert Score(task="r", metric="R@1", value=0.5, chance=0.1).interval is None
