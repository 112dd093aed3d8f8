"""The starter's recipes: what its heads learn from, and that they learn it."""

from __future__ import annotations

import csv
import gzip
import importlib
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.modalities.image import ImageSettings
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    StageConfig,
)
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


def test_recordings(tmp_path: Path, sounds: ModuleType) -> None:
    """A clip that is in two sets counts once; ESC-10's fold and Freesound id are in its name."""
    heads = {"esc50": "audio,label,freesound_id,fold", "instruments": "audio,label,freesound_id"}
    lines = {"esc50": "dog/1-7-A.ogg,dog,7,1", "instruments": "Cello/x.ogg,Cello,9"}
    for name, head in heads.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "items.csv").write_text(f"{head}\n{lines[name]}\n")
    for name in ("1-7-A", "4-8-A"):
        write_tone(tmp_path / "esc10" / "dog_bark" / f"{name}.ogg", 300)
    found = sounds.read_recordings(tmp_path)
    assert [(r.label, r.freesound_id, r.fold) for r in found] == [
        ("dog", "7", 1),
        ("cello", "9", 0),
        ("dog", "8", 4),
    ]


def test_audio_head(sounds: ModuleType) -> None:
    """Features that tell classes apart are embedded as the classes' targets, after training."""
    torch.manual_seed(0)
    tower = AiSFX(AiSFXConfig(channels=(4, 8, 8, 16), embed_dim=12))
    class_N = torch.arange(40) % 4
    centers_KD = torch.rand(4, 16) * 4
    heard = sounds.Heard(
        features_BD=centers_KD[class_N] + 0.1 * torch.rand(40, 16), owner_B=torch.arange(40)
    )
    target_KE = torch.nn.functional.normalize(torch.randn(4, 12), dim=1)
    sounds.learn_audio_head(tower, heard, heard, class_N, target_KE)
    embed_NE = sounds.embed_recordings(tower, heard, 40)
    assert ((embed_NE @ target_KE.T).argmax(1) == class_N).all()
    left = heard.of(class_N != 3)
    assert (len(left.owner_B), sounds.embed_recordings(tower, left, 40)[3].norm()) == (30, 0)


@pytest.mark.slow
def test_audio_recipe(tmp_path: Path, sounds: ModuleType) -> None:
    """`openbind train` learns the head that is measured: the same regression on the same rows."""
    space = openbind.load("starter", modalities=["text", "audio"], dtype="float32")
    openbind.save(space, tmp_path / "sound")
    for label, count in (("low", 3), ("high", 1)):
        for at in range(count):
            write_tone(tmp_path / f"{label}-{at}.wav", (300 if label == "low" else 3000) + 20 * at)
    found = [
        sounds.Recording(path=path, label=path.stem[:-2], freesound_id=path.stem)
        for path in sorted(tmp_path.glob("*.wav"))
    ]
    names, class_N = sounds.labels_of(found)
    target_KE = torch.from_numpy(space.encode("text", names))
    tower, settings = space.towers["audio"], space.config.modalities["audio"].settings
    clean, degraded = (
        sounds.audio_features(tower, found, settings, tmp_path, worse) for worse in (False, True)
    )
    sounds.write_sounds(tmp_path, found, clean, target_KE[class_N])
    changes = {"start": str(tmp_path / "sound"), "batch_size": "4"}
    run = train(read_recipe(FOLDER / "audio.yaml", changes), tmp_path, tmp_path / "run")
    assert run is not None
    trained = openbind.load(run, modalities=["audio"], dtype="float32").towers["audio"]
    sounds.learn_audio_head(tower, clean, degraded, class_N, target_KE)
    for layer in ("weight", "bias"):
        found_tensor, expected = (getattr(t.head, layer) for t in (trained, tower))
        assert torch.cosine_similarity(found_tensor.flatten(), expected.flatten(), dim=0) > 0.9999


def test_degraded(tmp_path: Path, sounds: ModuleType) -> None:
    """A degraded copy is shorter or as long, at a known rate, and the same wherever the data is."""
    write_tone(tmp_path / "a.ogg", 300)
    samples_CT, rate_hz = sounds.degrade(tmp_path / "a.ogg")
    assert rate_hz in (44_100, *sounds.RATES_HZ)
    assert 0.7 * rate_hz <= samples_CT.shape[1] <= rate_hz
    copies = []
    for place in ("one/esc50/dog", "two/esc50/dog", "one/esc10/dog"):
        path = tmp_path / place / "a.ogg"
        path.parent.mkdir(parents=True)
        shutil.copyfile(tmp_path / "a.ogg", path)
        copies.append(sounds.degrade(path)[0])
    assert np.array_equal(copies[0], copies[1])
    assert not np.array_equal(copies[0], copies[2])


def test_image_head(sounds: ModuleType) -> None:
    """Captions, names and drawings are learned, and the classifier's names are kept."""
    learn = __import__("train_image_text")
    torch.manual_seed(0)
    stage = StageConfig(repeats=1, kernel=3, stride=2, expand=1, channels=8)
    config = EfficientNetLiteConfig(
        stem_channels=8, stages=(stage,), width=24, num_classes=6, embed_dim=16
    )
    tower = EfficientNetLite(config)
    names_KE = 0.3 * torch.randn(6, 16)
    features_NVD, words_NE = torch.rand(60, 2, 24), torch.randn(60, 16)
    words_NE = torch.nn.functional.normalize(words_NE, dim=1)
    examples = learn.Examples(
        captioned_NVD=features_NVD,
        captions_NKE=words_NE[:, None],
        num_captions_N=torch.ones(60, dtype=torch.long),
        named_NVD=features_NVD,
        name_N=torch.arange(60),
        names_PKE=words_NE[None],
        drawn_NVD=features_NVD,
        words_NE=words_NE,
    )
    recipe = learn.ImageTextRecipe(steps=60, warmup=5, rate=0.02, dropout=0.0, extra=0.0)
    recipe = replace(recipe, captioned=60, others=60)
    learn.learn_image_head(tower, examples, names_KE, recipe)
    with torch.no_grad():
        shown_NE = torch.nn.functional.normalize(tower.embed(features_NVD[:, 0]), dim=1)
    found_N = (shown_NE @ words_NE.T).argmax(1)
    assert (found_N == torch.arange(60)).float().mean() > 0.15


def test_photographs(tmp_path: Path, sounds: ModuleType) -> None:
    """A third of each class is tested; views have the size of the tower's input."""
    photographs = __import__("photographs")
    (tmp_path / "flowers").mkdir()
    rows = "".join(f"{n}.jpg,{'rose' if n % 2 else 'tulip'}\n" for n in range(12))
    (tmp_path / "flowers" / "items.csv").write_text("image,label\n" + rows)
    found = photographs.read_named(tmp_path, "flowers")
    tested = [p.texts[0] for p in found if p.tested]
    assert (tested.count("rose"), tested.count("tulip")) == (2, 2)
    Image.new("RGB", (90, 60)).save(tmp_path / "0.jpg")
    views = photographs.make_views(tmp_path / "0.jpg", ImageSettings(size=64))
    assert [view.size for view in views] == [(64, 64)] * 3


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


def test_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target lies between its name and the images whose texts and content are nearest to it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    targets = importlib.import_module("targets")
    label_KE = torch.eye(3, 6)
    image_NE = torch.nn.functional.normalize(
        torch.eye(3, 6).repeat_interleave(targets.NUM_IMAGES, 0) + torch.eye(6)[3], dim=1
    )
    words_NE = torch.eye(3, 6).repeat_interleave(targets.NUM_IMAGES, 0)
    found = targets.find_images(label_KE[1], words_NE, image_NE, targets.NUM_IMAGES)
    assert sorted(found.tolist()) == list(range(targets.NUM_IMAGES, 2 * targets.NUM_IMAGES))
    target_KE = targets.make_targets(label_KE, words_NE, image_NE)
    # What all images have in common, the fourth dimension, is taken off.
    assert target_KE[:, 3].abs().max() < 1e-6
    assert (target_KE @ label_KE.T).argmax(1).tolist() == [0, 1, 2]
    assert torch.equal(targets.make_targets(label_KE, words_NE, image_NE, 0.0), label_KE)


def test_attribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each item is named with license and address; sets of one license have one row."""
    monkeypatch.syspath_prepend(str(FOLDER))
    attribution = importlib.import_module("attribution")
    for name, (table, column) in attribution.SETS.items():
        (tmp_path / name).mkdir()
        head, row = f"{column},licence,source", "a/7_x.jpg,CC BY (set),somewhere"
        if name == "coco":
            head, row = f"{head},license,flickr_url", f"{row},CC BY 2.0,http://flickr/7.jpg"
        if name == "esc50":
            head, row = f"{head},freesound_id", f"{row},99"
        (tmp_path / name / table).write_text(f"{head}\n{row}\n{row.replace('7', '8')}\n")
    line = "- **1-7-A.ogg**: clip derived from [x](http://www.freesound.org/people/me/sounds/7/) "
    (tmp_path / "esc10").mkdir()
    (tmp_path / "esc10" / "ATTRIBUTION.md").write_text(f"{line}by *me* ([CC0](http://c))\n")
    (tmp_path / "models.csv").write_text("model,title,author,license\nchair,A chair,Ann,CC0\n")
    paths = [tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"]
    for path in paths:
        attribution.write_attribution(path, tmp_path, tmp_path / "models.csv")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    rows = list(csv.DictReader(gzip.decompress(paths[0].read_bytes()).decode().splitlines()))
    assert {row["set"] for row in rows} == {*attribution.SETS, "esc10", "sweethome3d-furniture"}
    assert len(rows) == 2 * len(attribution.SETS) - len(attribution.BY_SET) + 2
    first = {row["set"]: (row["license"], row["author"], row["source"]) for row in rows[::-1]}
    assert first["coco"] == ("CC BY 2.0", "", "http://flickr/7.jpg")
    assert first["caltech101"] == ("CC BY", "", "somewhere")
    assert first["esc50"][2] == "https://freesound.org/s/99"
    assert first["esc10"][:2] == ("CC0", "me")
    assert first["sweethome3d-furniture"] == ("CC0", "Ann", "A chair")


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (("a dog on grass", "two puppies"), "dog"),
        (("a dog on grass", "a lawn", "a lawn"), None),
        (("a dog on a train",), None),
        (("hotdogs",), None),
    ],
)
def test_things_in_captions(
    monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...], label: str | None
) -> None:
    """A photograph shows a thing if at least half of its captions name it, and none another."""
    monkeypatch.syspath_prepend(str(FOLDER))
    photographs = importlib.import_module("photographs")
    pointing = importlib.import_module("validate_pointing")
    shown = photographs.Photograph(path=Path("1.jpg"), set="coco", texts=texts, tested=True)
    assert pointing.name_thing(shown) == label
