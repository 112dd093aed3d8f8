"""The starter's recipes: what its sounds train on, and that the recipe takes it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

FOLDER = Path(__file__).parents[2] / "recipes" / "starter"


@pytest.fixture
def sounds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the recipe's module as `build.py` does, from its own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("sounds")


def write_tone(path: Path, pitch: float) -> None:
    """Write a second of a tone as .ogg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave_T = np.sin(np.arange(44_100) / 44_100 * 2 * np.pi * pitch)
    soundfile.write(path, wave_T, 44_100)


def shipped_dim() -> int:
    """Of the space that the tests start from; the recipes start from a narrower one."""
    return openbind.load("starter", modalities=["image"]).dim


@pytest.mark.slow
def test_sounds(tmp_path: Path, sounds: ModuleType) -> None:
    """Manifests are written, and `audio.yaml` binds the sounds that they name to the images."""
    pairs = __import__("pairs")
    work, data = tmp_path / "work", tmp_path / "data"
    images = []
    for label, wanted in pairs.SOUND_IMAGES.items():
        source, names = next((s, n) for s, n in wanted.items() if s != "classes")
        path = work / f"{label}.png"
        images.append(pairs.Image(source=source, path=path, name=names[0]))
        for fold in range(1, 5):
            write_tone(data / "esc10" / label / f"{fold}-1.ogg", 200 + 40 * len(images))
    for index in range(4):
        stamp = work / pairs.STAMPS / "animals" / f"{index}.png"
        write_tone(stamp.with_suffix(".ogg"), 500 + 50 * index)
        Image.new("RGB", (8, 8)).save(stamp)
        images.append(pairs.Image(source="stamps", path=stamp, name=str(index)))
    generator = torch.Generator().manual_seed(0)
    drawn_KSE = torch.randn(len(images), 3, shipped_dim(), generator=generator)
    views_KSE = torch.nn.functional.normalize(drawn_KSE, dim=2)
    wanted_classes = (w.get("classes", ()) for w in pairs.SOUND_IMAGES.values())
    classes = {name: views_KSE[0, 0] for names in wanted_classes for name in names}
    cells = __import__("cells").write_cells(work, images, views_KSE, classes)
    sounds.write_sounds(work, data, cells)
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
    numbers = validate.measure_fold(after, work, sounds.CLASSES, "4")
    assert [number.chance for number in numbers] == pytest.approx([0.1] * 4)
    assert all(0 <= number.value <= 1 for number in numbers)


@pytest.mark.slow
def test_motions(tmp_path: Path, sounds: ModuleType) -> None:
    """Recordings of the archive's files get times, and the recipe's tower takes them."""
    motions = __import__("motions")
    names = sorted(motions.MOTION_IMAGES)
    generator = np.random.default_rng(0)
    lines = []
    for label in names * 3:
        axes = [",".join(f"{v:.4f}" for v in generator.normal(size=100)) for _ in range(6)]
        lines.append(":".join([*axes, label]))
    (tmp_path / motions.SOURCE).parent.mkdir(parents=True)
    (tmp_path / motions.SOURCE).write_text("# x\n@classLabel true\n@data\n" + "\n".join(lines))
    vectors_KSE = torch.nn.functional.normalize(torch.randn(4, 3, shipped_dim()), dim=2)
    images = [
        __import__("pairs").Image(source="emoji", path=tmp_path / name, name=wanted["emoji"][0])
        for name, wanted in motions.MOTION_IMAGES.items()
    ]
    classes = {"pedestal": vectors_KSE[0, 0], "cowboy boot": vectors_KSE[0, 0]}
    cells = __import__("cells").write_cells(tmp_path, images, vectors_KSE, classes)
    motions.write_motions(tmp_path, cells)
    table = np.genfromtxt(tmp_path / "motions" / "00-badminton.csv", delimiter=",", names=True)
    assert table.shape == (100,)
    assert table["time"][10] == pytest.approx(1.0)
    changes = {"start": "starter", "batch_size": "8", "schedule.steps": "2"}
    changes |= {"schedule.warmup_steps": "1", "pairs.0.negatives": "8"}
    run = train(read_recipe(FOLDER / "imu.yaml", changes), tmp_path, tmp_path / "run")
    assert run is not None


def test_wider_towers(sounds: ModuleType) -> None:
    """What knows nothing of places is zero there, and otherwise what it was."""
    widen = __import__("widen")
    narrow = MiniLM(MiniLMConfig(num_layers=1, vocab_size=50)).eval()
    wide = widen.add_zeros(narrow, "head")
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(wide(ids)[:, :384], narrow(ids))
    assert not wide(ids)[:, 384:].any()


def test_principal_directions(sounds: ModuleType) -> None:
    """The widest directions, by weight, of about equal width once they are half whitened."""
    widen = __import__("widen")
    cells_BC = torch.randn(4000, 200) * torch.linspace(3, 0.1, 200)
    weight_KC, bias_K = widen.principal_directions(cells_BC, torch.ones(4000))
    shown_BK = cells_BC @ weight_KC.T + bias_K
    assert shown_BK.shape == (4000, 128)
    torch.testing.assert_close(shown_BK.mean(0), torch.zeros(128), rtol=0, atol=1e-4)
    torch.testing.assert_close(shown_BK.std(0)[0].square(), torch.tensor(3.0), rtol=0.2, atol=0)


def test_never_words(sounds: ModuleType) -> None:
    """The recipes pair with images alone."""
    for modality in ("imu", "depth", "thermal"):
        [plan] = read_recipe(FOLDER / f"{modality}.yaml").pairs
        assert plan.pair == ("image", modality)
    recipe = read_recipe(FOLDER / "audio.yaml")
    assert {plan.pair for plan in recipe.pairs} == {("image", "audio")}
    manifests = [plan.data.manifest for plan in recipe.pairs]
    assert manifests == [str(sounds.CLASSES), str(sounds.STAMPS)]


def test_views_share_what_their_room_holds(sounds: ModuleType) -> None:
    """What is the mean of a room's views, where stays each view's own; lengths stay, too."""
    scenes = __import__("scenes")
    views_NE = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    names = ["a", "b", "a", "a", "b"]
    shared_NE = torch.from_numpy(scenes.share_what(views_NE, names, 6))
    assert torch.equal(shared_NE[:, 6:], views_NE[:, 6:])
    torch.testing.assert_close(shared_NE.norm(dim=1), torch.ones(5))
    for members in ([0, 2, 3], [1, 4]):
        mean_E = views_NE[members, :6].sum(0)
        for one in members:
            cosine = torch.cosine_similarity(shared_NE[one, :6], mean_E, dim=0)
            torch.testing.assert_close(cosine, torch.tensor(1.0))
