"""The judge of drawn images: its file, and what it sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from openbind.errors import CheckpointError
from openbind.evaluation.judge import (
    EfficientNetJudge,
    Probe,
    blank_tower,
    read_judge,
    shipped_judge,
    write_judge,
)


@pytest.fixture
def images() -> list[Image.Image]:
    chance = np.random.default_rng(0)
    return [Image.fromarray(chance.integers(0, 255, (40, 40, 3), np.uint8)) for _ in range(3)]


def test_a_file_holds_what_was_written(images: list[Image.Image], tmp_path: Path) -> None:
    torch.manual_seed(0)
    tower = blank_tower()
    probe = Probe(
        names=("cat", "dog"),
        mean_D=torch.zeros(1280),
        scale_D=torch.ones(1280),
        weight_KD=torch.randn(2, 1280),
        bias_K=torch.zeros(2),
    )
    judge = EfficientNetJudge(tower, probe)
    write_judge(judge, tmp_path / "judge.safetensors")
    again = read_judge(tmp_path / "judge.safetensors")
    assert again.names == ("cat", "dog")
    seen, own = again.features(images), judge.features(images)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)
    assert ((seen * own).sum(1) > 0.999).all()
    assert again.classify(seen).shape == (3, 2)


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for path in (tmp_path / "other.safetensors", tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError):
            read_judge(path)


def test_the_judge_that_ships_names_real_drawings(samples: Path) -> None:
    """Of the collection's own images it names most of those that it knows, of a hundred nouns."""
    judge = read_judge(shipped_judge())
    assert len(judge.names) >= 100
    paths = {path.stem.partition("-")[2]: path for path in (samples / "images").iterdir()}
    known = [name for name in paths if name in judge.names]
    logits = judge.classify(judge.features([Image.open(paths[name]) for name in known]))
    right = [judge.names[best] == name for best, name in zip(logits.argmax(1), known, strict=True)]
    assert np.mean(right) > 0.3
