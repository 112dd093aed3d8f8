"""The starter's recipes: what its sounds train on, and that the recipe takes it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

FOLDER = Path(__file__).parents[2] / "recipes" / "starter"


@pytest.fixture
def sounds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the recipe's module as `build.py` does, from its own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return pytest.importorskip("sounds")


def write_tone(path: Path, pitch: float) -> None:
    """Write a second of a tone as .ogg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave_T = np.sin(np.arange(44_100) / 44_100 * 2 * np.pi * pitch)
    soundfile.write(path, wave_T, 44_100)


def test_sounds(tmp_path: Path, sounds: ModuleType) -> None:
    """Manifests are written, and `audio.yaml` binds the sounds that they name to the pictures."""
    pairs = __import__("pairs")
    work, data = tmp_path / "work", tmp_path / "data"
    pictures = []
    for label, wanted in pairs.SOUND_PICTURES.items():
        source, names = next((s, n) for s, n in wanted.items() if s != "classes")
        path = work / f"{label}.png"
        pictures.append(pairs.Picture(source=source, path=path, name=names[0]))
        for fold in range(1, 5):
            write_tone(data / "esc10" / label / f"{fold}-1.ogg", 200 + 40 * len(pictures))
    for index in range(4):
        stamp = work / pairs.STAMPS / "animals" / f"{index}.png"
        write_tone(stamp.with_suffix(".ogg"), 500 + 50 * index)
        Image.new("RGB", (8, 8)).save(stamp)
        pictures.append(pairs.Picture(source="stamps", path=stamp, name=str(index)))
    generator = torch.Generator().manual_seed(0)
    drawn_KSE = torch.randn(len(pictures), 3, 384, generator=generator)
    views_KSE = torch.nn.functional.normalize(drawn_KSE, dim=2)
    wanted_classes = (w.get("classes", ()) for w in pairs.SOUND_PICTURES.values())
    classes = {name: views_KSE[0, 0] for names in wanted_classes for name in names}
    (work / "sounds").mkdir()
    sounds.write_manifests(work, data, pictures, views_KSE, classes)
    changes = {"start": "starter", "batch_size": "4", "schedule.steps": "6"}
    changes |= {"schedule.warmup_steps": "1", "pairs.0.negatives": "8", "pairs.1.negatives": "8"}
    recipe = read_recipe(FOLDER / "audio.yaml", changes)
    run = train(recipe, work, tmp_path / "run")
    assert run is not None
    before, after = openbind.load("starter"), openbind.load(run)
    sound = data / "esc10" / "rain" / "1-1.ogg"
    assert not np.allclose(before.encode("audio", [sound]), after.encode("audio", [sound]))
    assert np.allclose(before.encode("text", ["rain"]), after.encode("text", ["rain"]), atol=1e-6)
    validate = __import__("validate")
    numbers = validate.measure_fold(after, work, sounds.CLASSES, 4)
    assert numbers.pop("sounds: chance") == pytest.approx(0.1)
    assert len(numbers) == 4
    assert all(0 <= value <= 1 for value in numbers.values())


def test_never_words(sounds: ModuleType) -> None:
    """The recipe pairs sounds with pictures alone."""
    recipe = read_recipe(FOLDER / "audio.yaml")
    assert {plan.pair for plan in recipe.pairs} == {("image", "audio")}
    manifests = [plan.data.manifest for plan in recipe.pairs]
    assert manifests == [str(sounds.CLASSES), str(sounds.STAMPS)]
