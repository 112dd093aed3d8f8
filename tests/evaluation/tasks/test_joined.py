"""Two sounds joined: equal loudness and length, and the second one found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.tasks.joined import RATE_HZ, SECONDS, Joined, join, shared_part
from openbind.evaluation.tasks.mosaics import Queries


def test_shared_part() -> None:
    """Intersection over union of spans."""
    assert shared_part((0, 10), (5, 10)) == 0.5
    assert shared_part((0, 4), (5, 10)) == 0


def test_join(tmp_path: Path) -> None:
    """Short sounds repeat, long ones are cut, both are equally loud."""
    for name, gain, seconds in (("a.wav", 0.5, 1), ("b.wav", 0.01, 8)):
        noise = gain * np.random.default_rng(0).uniform(-1, 1, seconds * 8000)
        soundfile.write(tmp_path / name, noise, 8000)
    samples, rate_hz = join(tmp_path / "a.wav", tmp_path / "b.wav")
    half = int(SECONDS * RATE_HZ)
    assert rate_hz == RATE_HZ
    assert len(samples) == 2 * half
    first, second = (np.square(part).mean() for part in (samples[:half], samples[half:]))
    assert first == pytest.approx(second, rel=0.2)


def test_second_sound() -> None:
    """Bells, dogs and rain by their names."""
    folder = held_out_folder() / "single_things"
    names = ("080-dog.ogg", "081-rain.ogg", "082-train.ogg")
    keys = ["dog", "rain", "train"]
    task = Joined(
        name="joined",
        modality="audio",
        items=[folder / name for name in names],
        keys=keys,
        queries={"text": Queries(modality="text", items=keys, keys=keys)},
        count=3,
    )
    embedder = Embedder(openbind.load("starter", modalities=["audio", "text"]))
    scores = {score.metric: score for score in task.measure(embedder).scores}
    assert scores["IoU"].count == 3
    assert scores["IoU"].value > 0.5
    assert scores["IoU"].value > scores["IoU, shuffled"].value
