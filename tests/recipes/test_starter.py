"""The starter's recipes: what its heads learn from, and that they learn it."""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.catalog import shipped
from openbind.checkpoints.native import read_card
from openbind.modalities.image import ImageSettings
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    StageConfig,
)
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig
from openbind.training.check import check_recipe
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


def test_what_ships_is_held_out(tmp_path: Path, sounds: ModuleType) -> None:
    """Clips and photographs of the held-out sets aren't learned from, nor others of a recording."""
    for name, head in (("esc50", "audio,label,freesound_id,fold"), ("instruments", "audio,label")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "items.csv").write_text(head + "\n")
    for name in ("4-164021-A", "4-164021-B", "4-8-A"):
        write_tone(tmp_path / "esc10" / "rooster" / f"{name}.ogg", 300)
    found = sounds.read_recordings(tmp_path)
    assert [recording.held_out for recording in found] == [True, True, False]
    clean = sounds.Heard(features_BD=torch.rand(3, 4), owner_B=torch.arange(3))
    sounds.write_sounds(tmp_path, found, clean, torch.rand(3, 5))
    lines = (tmp_path / sounds.SOUNDS).read_text(encoding="utf-8").splitlines()
    assert [Path(json.loads(line)["audio"]).stem for line in lines] == ["4-8-A", "0002"]
    photographs, held = __import__("photographs"), __import__("held_out")
    (tmp_path / "caltech101").mkdir()
    named = sorted(held.held_out_photographs())
    rows = "".join(f"{name.partition('/')[2]},thing\n" for name in named)
    (tmp_path / "caltech101" / "items.csv").write_text(f"image,label\n{rows}other.jpg,thing\n")
    shown = photographs.read_named(tmp_path, "caltech101")
    assert [photograph.held_out for photograph in shown] == [True] * len(named) + [False]


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
    learned = sounds.learn_audio_head(tower, heard, heard, class_N, target_KE)
    embed_NE = sounds.embed_recordings(learned, heard, 40)
    assert ((embed_NE @ target_KE.T).argmax(1) == class_N).all()
    left = heard.of(class_N != 3)
    assert (len(left.owner_B), sounds.embed_recordings(learned, left, 40)[3].norm()) == (30, 0)


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
    changes["towers.audio.config.mixture.classes"] = "2"
    run = train(read_recipe(FOLDER / "audio.yaml", changes), tmp_path, tmp_path / "run")
    assert run is not None
    trained = openbind.load(run, modalities=["audio"], dtype="float32").towers["audio"]
    learned = sounds.learn_audio_head(tower, clean, degraded, class_N, target_KE)
    for name, expected in learned.head.state_dict().items():
        found_tensor = trained.head.get_parameter(name)
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


@pytest.fixture
def pictures(tmp_path: Path, sounds: ModuleType) -> tuple[EfficientNetLite, torch.Tensor]:
    """Write made-up features of captioned and named photographs and of drawings, and a space.

    Returns:
        the starting tower; features of the 48 captioned photographs, the embeddings of whose
        captions are in `captions.npy`.
    """
    captions, photographs = (importlib.import_module(n) for n in ("captions", "photographs"))
    torch.manual_seed(0)
    stage = StageConfig(repeats=1, kernel=3, stride=2, expand=1, channels=8)
    tower = EfficientNetLite(
        EfficientNetLiteConfig(
            stem_channels=8, stages=(stage,), width=64, num_classes=6, embed_dim=16
        )
    )
    found = [
        photographs.Photograph(
            path=Path(f"{n}.jpg"),
            set="coco" if n < 48 else "flowers",
            texts=(f"caption {n}",) if n < 48 else (f"flower {n % 4}",),
            tested=n % 6 == 0,
        )
        for n in range(72)
    ]
    rows = torch.nn.functional.normalize(torch.randn(200, 16), dim=1)
    embedding = dict(zip(sorted(captions.texts_of(found)), rows, strict=False))
    embedding |= {f"caption {n}": rows[100 + n] for n in range(48)}
    features_NVD = torch.rand(72, 2, 64)
    captions.write_photographs(tmp_path, found, features_NVD, embedding)
    tested = [n % 6 == 0 for n in range(30)]
    captions.write_drawings(tmp_path, torch.rand(30, 2, 64), rows[:30], tested)
    captions.write_classes(tmp_path, rows[:6])
    captions.start_image_tower(tower, 0.3 * rows[:6])
    text = MiniLM(MiniLMConfig(num_layers=1, vocab_size=50, embed_dim=16))
    starter = Path(openbind.__file__).parent / "assets" / "starter"
    importlib.import_module("assemble").assemble(
        {"text": text, "vision": tower}, [], starter / "tokenizer.json", tmp_path / "picture"
    )
    np.save(tmp_path / "captions.npy", rows[100:148].numpy())
    return tower, features_NVD[:48]


def run_images(folder: Path, name: str, **changes: str) -> openbind.Space:
    """Run `image.yaml` on a few rows; return the space."""
    few = {
        "start": str(folder / "picture"),
        "batch_size": "12",
        "pairs.0.batch_size": "24",
        "schedule.steps": "60",
        "schedule.warmup_steps": "5",
        "schedule.lr": "0.02",
        "towers.image.head.dropout": "0",
        "logging.log_every": "1",
    }
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    recipe = read_recipe(FOLDER / "image.yaml", {**few, **dotted})
    run = train(recipe, folder, folder / name)
    assert run is not None
    return openbind.load(run, dtype="float32")


def trained_image_tower(space: openbind.Space) -> EfficientNetLite:
    """Return the tower of images, which videos don't share."""
    tower = space.towers[space.config.modalities["image"].tower]
    assert isinstance(tower, EfficientNetLite)
    return tower


def test_image_recipe(tmp_path: Path, pictures: tuple[EfficientNetLite, torch.Tensor]) -> None:
    """`openbind train` learns captions, names and drawings at once; the classifier stays."""
    start, features_NVD = pictures
    space = run_images(tmp_path, "all", towers__image__learned="1.0")
    tower = trained_image_tower(space)
    captions_NE = torch.from_numpy(np.load(tmp_path / "captions.npy"))

    def share_found(tower: EfficientNetLite) -> float:
        with torch.no_grad():
            shown_NE = torch.nn.functional.normalize(tower.embed(features_NVD[:, 0]), dim=1)
        return float(((shown_NE @ captions_NE.T).argmax(1) == torch.arange(48)).float().mean())

    assert share_found(start) < 0.1
    assert share_found(tower) > 0.5
    for name in ("classifier.weight", "stem.weight"):
        torch.testing.assert_close(
            tower.state_dict()[name], start.state_dict()[name], rtol=1e-3, atol=1e-4
        )
    moved = (tower.mixture.weight - start.mixture.weight).abs().max()
    assert moved > 0.01
    text = (tmp_path / "all" / "log.jsonl").read_text(encoding="utf-8")
    first, *_, last = (json.loads(line)["losses"] for line in text.splitlines())
    assert all(later < early for early, later in zip(first, last, strict=True))
    assert "102 pairs" in space.card.summary


@pytest.mark.usefixtures("pictures")
def test_image_recipe_without_test_parts(tmp_path: Path) -> None:
    """A split leaves the test parts out; most of the result is the starting head by default."""
    splits = {f"pairs__{number}__split": "train" for number in range(3)}
    few = {"batch_size": "12", "pairs.0.batch_size": "24", "start": str(tmp_path / "picture")}
    recipe = read_recipe(FOLDER / "image.yaml", few)
    assert [report.rows for report in check_recipe(recipe, tmp_path).pairs] == [48, 24, 30]
    space = run_images(tmp_path, "train", schedule__steps="2", **splits)
    assert "85 pairs" in space.card.summary
    whole = run_images(tmp_path, "whole", schedule__steps="2", towers__image__learned="1", **splits)
    # The start's projection is zero.
    found, learned = (trained_image_tower(s).projection.weight for s in (space, whole))
    assert learned.abs().max() > 0.01
    torch.testing.assert_close(found, 0.0476 * learned, rtol=1e-3, atol=1e-6)


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
    wide = widen.add_zeros(narrow)
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


def test_mosaics_of_an_aspect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mosaic shows the middle of each photograph, undistorted, in its place."""
    monkeypatch.syspath_prepend(str(FOLDER))
    pointing = importlib.import_module("choose_pointing")
    paths = []
    for number, color in enumerate(("red", "lime", "blue", "white")):
        image = Image.new("RGB", (400, 400), "black")
        image.paste(color, (0, 100, 400, 300))
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    mosaic = pointing.compose(paths, (2, 1))
    assert mosaic.size == (600, 300)
    corners = [mosaic.getpixel(at) for at in ((9, 9), (590, 9), (9, 290), (590, 290))]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_names_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector that is named first is nearer to its nearest name, and to that more than others."""
    monkeypatch.syspath_prepend(str(FOLDER))
    pointing = importlib.import_module("choose_pointing")
    names_KE = np.eye(3, 4, dtype=np.float32)
    heard_NE = np.array([[0.5, 0.1, 0.1, 0.85]], np.float32)
    heard_NE /= np.linalg.norm(heard_NE)
    (before,), (after,) = (
        heard_NE @ names_KE.T,
        pointing.name_first(heard_NE, names_KE) @ names_KE.T,
    )
    assert after[0] > before[0]
    assert after[0] / after[1] > before[0] / before[1]


def test_caveats_are_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card says of each number how far its items are held out, as the recipe's scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    validate = importlib.import_module("validate")
    rows = read_card(shipped("starter")).measurements
    measured = [row for row in rows if "drawn image" not in row.task]
    drawn = [row for row in measured if row.task.startswith("image → text, ")]
    assert {row.data.partition(";")[0] for row in drawn} == {"Fluent emoji", "Tux Paint stamps"}
    assert all(row.data.endswith(validate.DRAWN) for row in drawn)
    others = {row for row in measured if {"audio", "imu", "thermal", "depth"} & set(row.modalities)}
    untouched = {row for row in others if not row.data.endswith(validate.EARLIER)}
    assert {row.data.partition(";")[0] for row in untouched} == {"BasicMotions test half"}
    pictures = {row for row in measured if row not in others and "CIFAR" not in row.data}
    assert all(validate.WITHOUT in row.data for row in pictures)
