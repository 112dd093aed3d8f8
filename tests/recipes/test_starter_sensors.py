"""The starter's recipes of IMU, thermal and depth: what they train on, and that it trains."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import openbind
from openbind.checkpoints import native
from openbind.model.backbones.efficientnet_lite import EfficientNetLite
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

FOLDER = Path(__file__).parents[2] / "recipes" / "starter"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the recipe's modules as `build.py` does, from their own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_data(work: Path, data: Path) -> None:
    """Write recordings of two people walking and sitting, as they are in the four data sets."""
    rng = np.random.default_rng(0)
    lines = []
    for label in ("Walking", "Standing"):
        axes = [",".join(f"{v:.4f}" for v in rng.normal(size=100)) for _ in range(6)]
        lines.append(":".join([*axes, label]))
    source = work / "pypi/aeon/datasets/data/BasicMotions/BasicMotions_TRAIN.ts"
    source.parent.mkdir(parents=True)
    source.write_text("# x\n@classLabel true\n@data\n" + "\n".join(lines))
    for name, rate in (("wisdm_watch", 20), ("wisdm_phone", 20), ("hapt_phone", 50)):
        labels = ["walking", "sitting"] * 2
        rows = [{"label": label, "subject": 1 + n // 2} for n, label in enumerate(labels)]
        write_rows(data / name / "items.csv", rows)
        values = rng.normal(size=(4, 10 * rate, 6)).astype(np.float16)
        np.savez(data / name / "imu.npz", values=values, rate=rate)


def test_recordings_and_changed_copies(tmp_path: Path, recipe: Any) -> None:
    """Each copy is of the same person and activity, and made by another device."""
    motions = recipe("motions")
    write_data(tmp_path, tmp_path / "data")
    recordings = motions.read_recordings(tmp_path, tmp_path / "data")
    assert len(recordings) == 2 + 3 * 4
    # The same people wore WISDM's watch and phone, so that they can't be on both sides of a split.
    assert {r.person for r in recordings if r.data.startswith("wisdm")} == {"wisdm 1", "wisdm 2"}
    changed = list(motions.add_changed(recordings))
    assert len(changed) == len(recordings) * (1 + motions.CHANGED)
    assert {(r.person, r.name) for r in changed} == {(r.person, r.name) for r in recordings}
    assert changed[0] is recordings[0]
    assert len({float(r.rate_hz) for r in changed}) > 3
    assert all(len(r.values_TC) == pytest.approx(10 * float(r.rate_hz), abs=1) for r in changed)
    again = list(motions.add_changed(recordings))
    np.testing.assert_array_equal(again[-1].values_TC, changed[-1].values_TC)


@pytest.mark.slow
def test_motions_can_be_learned(tmp_path: Path, recipe: Any) -> None:
    """The recipe takes the manifest, and the tower learns what it hears about."""
    motions, validate = recipe("motions"), recipe("validate_motions")
    write_data(tmp_path, tmp_path / "data")
    starter = openbind.load("starter", modalities=["text"])
    recordings = motions.read_recordings(tmp_path, tmp_path / "data")
    names = sorted({r.name for r in recordings})
    words = dict(zip(names, torch.from_numpy(starter.encode("text", names)), strict=True))
    written = motions.write_motions(tmp_path, tmp_path / "data", words)
    tower = motions.start_motion_tower(motions.read_windows(written), 512)
    bindings = {
        "text": starter.config.modalities["text"],
        "imu": Binding(tower="imu", settings=motions.SETTINGS),
    }
    specs = {
        "text": starter.config.towers["text"],
        "imu": TowerSpec(kind="motion_statistics", config=tower.config),
    }
    config = SpaceConfig(name="start", dim=512, towers=specs, modalities=bindings)
    towers = {"text": starter.towers["text"], "imu": tower}
    native.save(Space(config, towers, starter.card, starter.folder), tmp_path / "motion")
    changes = {"start": str(tmp_path / "motion"), "batch_size": "8"}
    run = train(read_recipe(FOLDER / "imu.yaml", changes), tmp_path, tmp_path / "run")
    assert run is not None
    space = openbind.load(run)
    vectors_NE = space.encode("imu", [(r.values_TC, float(r.rate_hz)) for r in recordings])
    right_N = validate.is_right(torch.from_numpy(vectors_NE), recordings, names, words)
    assert right_N.mean() > 0.6
    # The recipe's head is the one that folds are measured with.
    every_N = np.ones(len(recordings), bool)
    windows_BCT = motions.read_windows(written)
    felt = validate.Felt(recordings=recordings, windows_BCT=windows_BCT, targets=words)
    found_NE = validate.embed(validate.fit(felt, every_N), felt, every_N)
    assert (found_NE * torch.from_numpy(vectors_NE)).sum(1).mean() > 0.9


def test_photographs_are_drawn_as_thermal_images(tmp_path: Path, recipe: Any) -> None:
    scenes = recipe("scenes")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for target in ("b.png", "c.png"):
        scenes.draw_thermal(tmp_path / "a.png", tmp_path / target)
    with Image.open(tmp_path / "b.png") as drawn:
        assert (drawn.mode, drawn.size) == ("L", (50, 40))
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_thermal_rows(tmp_path: Path, recipe: Any) -> None:
    """Images of one flight are on one side of the split, and drawn photographs always train."""
    scenes, data = recipe("scenes"), tmp_path / "data"
    captions = {f"caption{k}": f"caption {k}" if k < 3 else "" for k in range(1, 6)}
    write_rows(data / "coco" / "pairs.csv", [{"image": "a.png", **captions}])
    Image.new("RGB", (8, 8), "red").save(data / "coco" / "a.png")
    flights = [f"{n % 4}_60_30_0_{n:05}.jpg" for n in range(12)]
    rows = [{"thermal": name, "label": "Car", "caption": "cars"} for name in flights]
    write_rows(data / "hit_uav" / "items.csv", rows)
    scenes.write_thermal(tmp_path, data)
    lines = [json.loads(row) for row in (tmp_path / scenes.THERMAL).read_text().splitlines()]
    assert lines[0]["text"] == ["caption 1", "caption 2"]
    assert lines[1]["text"] == ["cars", "a car"]
    assert lines[0]["split"] not in {line["split"] for line in lines[1:]}
    assert len({(Path(line["thermal"]).name[0], line["split"]) for line in lines[1:]}) == 4


def test_depth_is_spoiled_at_edges(tmp_path: Path, recipe: Any) -> None:
    """Beside a near thing there is a shadow; far from it depth is what it was, but for steps."""
    scenes = recipe("scenes")
    millimetres = np.full((60, 80), 4000, np.uint16)
    millimetres[:, :40] = 1000
    Image.fromarray(millimetres).save(tmp_path / "a.png")
    with Image.open(scenes.spoil_depth(tmp_path / "a.png", tmp_path / "spoiled")) as opened:
        spoiled = np.asarray(opened)
    assert not spoiled[:, 39:41].any()
    known = spoiled[:, :30][spoiled[:, :30] > 0]
    np.testing.assert_allclose(known, 1000, rtol=0.05)


def test_names_and_layouts_are_joined(recipe: Any) -> None:
    what_NE = np.array([[0.6, 0.8, 0, 0]])
    where_NE = np.array([[0.0, 0.8, 0.36, 0.48]])
    joined_NE = recipe("scenes").join_parts(what_NE, where_NE)
    np.testing.assert_allclose(joined_NE, [[0.48, 0.64, 0.36, 0.48]])


def test_layout_of_maps(recipe: Any) -> None:
    """A map tower sees the layout that the image tower sees in the gray image, at its share."""
    widen = recipe("widen")
    space = openbind.load("starter", modalities=["image", "thermal"])
    vision = space.towers["vision"]
    assert isinstance(vision, EfficientNetLite)
    assert vision.layout is not None
    tower = widen.start_map_tower(vision)
    torch.nn.init.normal_(tower.head.weight, std=0.01)
    widen.copy_layout(vision, tower)
    map_B1HW = torch.rand(3, 1, 96, 96)
    with torch.no_grad():
        expected_BE = vision.layout(vision.read(map_B1HW.expand(-1, 3, -1, -1))[1])
        torch.testing.assert_close(tower(map_B1HW)[:, -128:], expected_BE, atol=0.05, rtol=0.02)


def test_pairs(recipe: Any) -> None:
    """The card says which pairs were trained: these."""
    pairs = {
        name: read_recipe(FOLDER / f"{name}.yaml").pairs for name in ("imu", "depth", "thermal")
    }
    assert pairs["imu"][0].pair == ("text", "imu")
    assert pairs["thermal"][0].pair == ("text", "thermal")
    # The vectors of depth join names of rooms and the layout of images.
    assert pairs["depth"][0].pair == ("image", "depth")


def test_share_of_the_layout(tmp_path: Path, recipe: Any) -> None:
    """The layout gets its share of the usual map's squared length; what is named stays."""
    widen = recipe("widen")
    space = openbind.load("starter", modalities=["thermal"], dtype="float32")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 80)).astype(np.uint8)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, pixels_HW in zip(paths, pixels, strict=True):
        Image.fromarray(pixels_HW).save(path)
    tower = space.towers["thermal"]
    with torch.no_grad():
        tower.head.bias[-128:] += 0.3
        before_E = tower.head.bias[:384].clone()
    widen.weigh_layout(space, "thermal", paths)
    squared_NE = space.encode("thermal", paths) ** 2
    np.testing.assert_allclose(squared_NE[:, -128:].sum(1), widen.MAP_SHARE, atol=0.05)
    assert torch.equal(tower.head.bias[:384], before_E)
