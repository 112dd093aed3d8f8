"""Audio files for look-alikes of data sets, and a space with all of their modalities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.task import Task


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten short tones, .wav."""
    folder = tmp_path_factory.mktemp("tones")
    paths = []
    for index in range(10):
        wave_T = np.sin(np.arange(22_050) / 44_100 * 2 * np.pi * (200 + 100 * index))
        paths.append(folder / f"{index}.wav")
        soundfile.write(paths[-1], wave_T, 44_100)
    return paths


@pytest.fixture(scope="session")
def tiny() -> openbind.Space:
    """All of ImageBind's modalities, small, with random weights."""
    return openbind.load("tiny", weights="random", device="cpu", dtype="float32")


Embed = Callable[[Task], np.ndarray]


@pytest.fixture(scope="session")
def embed(tiny: openbind.Space) -> Embed:
    """Embed a task's items as a run does; all must be usable."""

    def call(task: Task) -> np.ndarray:
        rows = Embedder(tiny).embed(task.modality, task.items, task.settings)
        assert rows.errors == {}
        return rows.vectors_NE

    return call
