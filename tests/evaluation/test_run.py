"""A space is asked what a suite asks: numbers, papers' beside them, what was left out."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.cache import VectorCache
from openbind.demo.samples import SampleItem
from openbind.errors import ConfigError, InputError, UnknownNameError
from openbind.evaluation.run import evaluate

CATEGORIES = {"dog": "dog", "rooster": "rooster", "rain": "rain", "helicopter": "helicopter"}


@pytest.fixture
def esc50(tmp_path: Path, samples: Path, sample_items: list[SampleItem]) -> Path:
    """The samples' sounds of four things, laid out as ESC-50."""
    data = tmp_path / "ESC-50"
    (data / "audio").mkdir(parents=True)
    (data / "meta").mkdir()
    sounds = [s for s in sample_items if s.modality == "audio" and s.concept in CATEGORIES]
    with (data / "meta" / "esc50.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for index, sound in enumerate(sounds):
            name = Path(sound.path).name
            shutil.copy(samples / sound.path, data / "audio" / name)
            writer.writerow([name, index % 2 + 1, 0, CATEGORIES[sound.concept], True, 0, "A"])
    return data


def test_evaluate(esc50: Path, starter: openbind.Space, tmp_path: Path) -> None:
    """Sounds are named by words that they never met, far above chance; twice is the same."""
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        result = evaluate(starter, "esc50", esc50, cache=cache)
        again = evaluate(starter, "esc50", esc50, cache=cache)
    assert result == again
    (score,) = result.scores
    assert score.chance == 0.25
    assert score.value >= 0.7
    published = result.published_for(score)
    assert published is not None
    assert published.value == 0.669
    assert not result.left_out
    assert result.overlaps == ("ESC-10, folds 1 to 4 (Piczak 2015)",)


def test_left_out(esc50: Path, starter: openbind.Space) -> None:
    """A broken file is named and left out; with all of them broken there is nothing to say."""
    sounds = sorted((esc50 / "audio").iterdir())
    sounds[0].write_bytes(b"no sound")
    result = evaluate(starter, "esc50", esc50)
    assert list(result.left_out) == [str(sounds[0])]
    assert result.scores[0].count == len(sounds) - 1
    for sound in sounds:
        sound.write_bytes(b"no sound")
    with pytest.raises(InputError, match="no item could be used"):
        evaluate(starter, "esc50", esc50)


def test_retrieval(tmp_path: Path, samples: Path, starter: openbind.Space) -> None:
    """Captions find sounds, through the same door."""
    data = tmp_path / "clotho"
    (data / "evaluation").mkdir(parents=True)
    lines = ["file_name," + ",".join(f"caption_{k}" for k in range(1, 6))]
    for sound in sorted((samples / "sounds").iterdir())[:3]:
        shutil.copy(sound, data / "evaluation" / sound.name)
        lines.append(",".join([sound.name, *[sound.stem] * 5]))
    (data / "clotho_captions_evaluation.csv").write_text("\n".join(lines) + "\n")
    result = evaluate(starter, "clotho", data)
    metrics = {(score.task, score.metric) for score in result.scores}
    assert ("text → audio", "R@1") in metrics
    assert ("audio → text", "median rank") in metrics
    assert all(np.isfinite(score.value) for score in result.scores)
    assert any(result.published_for(score) for score in result.scores)


def test_what_is_missing(esc50: Path) -> None:
    """No such suite, and a space without sounds."""
    space = openbind.load("starter", modalities=["text", "image"])
    with pytest.raises(UnknownNameError, match="esc50"):
        evaluate(space, "esc5", esc50)
    with pytest.raises(ConfigError, match="ESC-50 needs audio; starter has only"):
        evaluate(space, "esc50", esc50)
