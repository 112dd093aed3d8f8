"""Events: overlaps of sets of spans; broken recordings are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.events import Events, shared_spans


def test_shared_spans() -> None:
    """Unions are compared."""
    assert shared_spans([(0, 2), (4, 6)], [(0, 6)]) == pytest.approx(4 / 6)
    assert shared_spans([(0, 3), (2, 4)], [(0, 4)]) == 1
    assert shared_spans([(0, 1)], [(2, 3)]) == 0


def test_measure(tmp_path: Path) -> None:
    """Chance is the whole recording."""
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * 16_000)
    soundfile.write(tmp_path / "a.wav", noise, 16_000)
    task = Events(
        name="when",
        modality="text",
        items=["a dog", "rain"],
        recordings=[tmp_path / "a.wav", tmp_path / "missing.wav"],
        spans=[[(0.0, 2.0)], [(1.0, 2.0)]],
        recording_modality="audio",
    )
    result = task.measure(Embedder(openbind.load("tiny", weights="random")))
    overlap, recall = result.scores
    assert overlap.chance == pytest.approx(0.5)
    assert overlap.count == recall.count == 1
    assert [Path(name).name for name in result.excluded] == ["missing.wav"]
