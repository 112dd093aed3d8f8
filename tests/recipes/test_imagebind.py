"""The recipes have Table 9's numbers, and run on look-alikes of the data sets' true layouts."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.io
from PIL import Image

import openbind
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

FOLDER = Path(__file__).parents[2] / "recipes" / "imagebind"
TABLE_9 = {
    #              width heads layers rate   decay batch clip repl epochs drop temp
    "audioset": ("audio", 768, 12, 12, 1.6e-3, 0.2, 2048, 1.0, 1.25, 64, 0.1, 0.05),
    "sun_rgbd": ("depth", 384, 8, 12, 1.6e-3, 0.2, 512, 1.0, 50, 64, 0.0, 0.2),
    "llvip": ("thermal", 768, 12, 12, 5e-4, 0.05, 512, 5.0, 25, 64, 0.0, 0.1),
    "ego4d": ("imu", 512, 8, 6, 5e-4, 0.5, 512, 1.0, 1.0, 8, 0.7, 0.2),
}
SMALL = {
    "audio": "{stem: {kernel: [32, 51], stride: [32, 51]}, trunk: TRUNK}",
    "depth": "{stem: {kernel: [56, 56], stride: [56, 56]}, trunk: TRUNK}",
    "thermal": "{stem: {kernel: [56, 56], stride: [56, 56]}, trunk: TRUNK}",
    "imu": "{stem: {kernel: 200}, trunk: TRUNK}",
}


@pytest.mark.parametrize("name", TABLE_9)
def test_table_9(name: str) -> None:
    """Every number of the paper's table is in its place."""
    modality, width, heads, layers, rate, decay, batch, clip, repeats, epochs, drop, temperature = (
        TABLE_9[name]
    )
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    (plan,) = recipe.pairs
    assert plan.pair == ("image", modality)
    schedule = recipe.schedule
    assert (schedule.rate, schedule.weight_decay, schedule.clip) == (rate, decay, clip)
    assert (schedule.betas, schedule.epochs, schedule.warmup_epochs) == ((0.9, 0.95), epochs, 2)
    assert (recipe.batch_size, plan.replicate, plan.temperature) == (batch, repeats, temperature)
    tower = openbind.presets.imagebind_huge().towers[modality].config.trunk
    assert (tower.width, tower.heads, tower.depth) == (width, heads, layers)
    assert recipe.towers[modality].size == "imagebind_huge"
    assert recipe.towers[modality].config["trunk"]["drop_path"] == drop
    assert plan.loss == "info_nce"


def test_augmentation() -> None:
    """Table 9's augmentations: masks for sounds; crops, RandAugment, jitter, erasing for maps."""
    (audio,) = read_recipe(FOLDER / "audioset.yaml").pairs
    assert audio.augment == {"audio": ({"frequency_mask": {"width": 12}},)}
    for name, modality in (("sun_rgbd", "depth"), ("llvip", "thermal")):
        (plan,) = read_recipe(FOLDER / f"{name}.yaml").pairs
        assert plan.augment[modality] == ({"erase": {"probability": 0.25}},)
        assert plan.augment["image"] == (
            {"rand_augment": {"layers": 2, "magnitude": 9, "deviation": 0.5}},
            {"color_jitter": {"strength": 0.4}},
        )
        assert plan.views.flip == 0.5
        assert plan.views.crop is not None


def run(name: str, data: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> openbind.Space:
    """Train a few steps of a recipe with a tiny tower from a tiny space."""
    spec = importlib.util.spec_from_file_location(
        "tiny_world", Path(__file__).parents[1] / "training" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tiny_world", tiny)
    spec.loader.exec_module(tiny)
    monkeypatch.setenv("OPENBIND_CACHE", str(output / "cache"))
    openbind.save(tiny.make_space(), output / "start")
    modality = TABLE_9[name][0]
    trunk = "{width: 16, heads: 2, depth: 1}"
    changes = {
        "start": str(output / "start"),
        "batch_size": "4",
        f"towers.{modality}.config": SMALL[modality].replace("TRUNK", trunk),
        "schedule": "{rate: 1e-3, steps: 2}",
        "hardware": "{}",
        "pairs.0.validation": "0.2",
        "pairs.0.views.count": "2",
    }
    recipe = read_recipe(FOLDER / f"{name}.yaml", changes)
    space = openbind.load(str(train(recipe, data, output / "run")))
    assert space.modalities == ("image", modality)
    return space


def run_script(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [name, "--data", str(data)])
    script.main()


def write_picture(path: Path, mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (30, 40, 3) if mode == "RGB" else (30, 40)
    pixels = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_film(path: Path, seconds: float, seed: int = 0) -> None:
    """A film of noise with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16000)
        for _ in range(round(seconds * 5)):
            pixels = rng.integers(256, size=(48, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode())
        tone = np.sin(np.arange(round(seconds * 16000)) * (0.05 + 0.02 * seed))[None] * 0.3
        for start in range(0, tone.shape[1], 1024):
            part = np.ascontiguousarray(tone[:, start : start + 1024].astype(np.float32))
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


def test_audioset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Films of some seconds, picture and sound of the same moment."""
    for index in range(8):
        write_film(tmp_path / "data/audioset/train" / f"{index}.mp4", 6, index)
    space = run("audioset", tmp_path / "data", tmp_path, monkeypatch)
    assert space.config.modalities["audio"].scale == pytest.approx(20)


def test_llvip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders with one name for each pair."""
    for index in range(10):
        split = "train" if index < 8 else "test"
        write_picture(tmp_path / f"data/LLVIP/visible/{split}/{index:06}.jpg", seed=index)
        write_picture(tmp_path / f"data/LLVIP/infrared/{split}/{index:06}.jpg", "L", seed=index)
    space = run("llvip", tmp_path / "data", tmp_path, monkeypatch)
    assert space.config.modalities["thermal"].scale == pytest.approx(10)


def test_sun_rgbd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames in their sensor's tree, depth with rotated bits, splits in a .mat."""
    data, frames = tmp_path / "data", []
    for index in range(10):
        name = f"kv2/kinect2data/{index:06}"
        frame = data / "SUNRGBD" / name
        write_picture(frame / "image" / f"{index}.jpg", seed=index)
        millimetres = np.full((30, 40), 1000 + 100 * index, np.uint16)
        stored = (millimetres << 3) | (millimetres >> 13)
        (frame / "depth_bfx").mkdir()
        Image.fromarray(stored).save(frame / "depth_bfx" / f"{index}.png")
        (frame / "intrinsics.txt").write_text("530.0 0 365 0 530.0 265 0 0 1")
        (frame / "scene.txt").write_text("office")
        frames.append(f"/n/fs/sun3d/data/SUNRGBD/{name}/")
    splits = data / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
    splits.parent.mkdir(parents=True)
    lists = {"alltrain": np.array(frames[:8], object), "alltest": np.array(frames[8:], object)}
    scipy.io.savemat(splits, lists)
    run_script("sun_rgbd", data, monkeypatch)
    disparity = np.load(data / "sun_rgbd/disparity/SUNRGBD_kv2_kinect2data_000000.npy")
    assert disparity.shape == (30, 40)
    assert float(disparity[0, 0]) == pytest.approx(0.075 * 530 / 1.0, rel=1e-3)
    lines = (data / "sun_rgbd/pairs.csv").read_text().splitlines()
    assert len(lines) == 11
    assert lines[1].endswith(",office,train")
    assert lines[-1].endswith(",office,test")
    run("sun_rgbd", data, tmp_path, monkeypatch)


def test_ego4d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Films of one scenario; clips with IMU around narrations, those without are left out."""
    data = tmp_path / "data"
    films = [
        {"video_uid": "a", "scenarios": ["Cooking"]},
        {"video_uid": "b", "scenarios": ["Cooking", "Cleaning"]},
        {"video_uid": "c", "scenarios": ["Walking"]},
    ]
    data.mkdir()
    (data / "ego4d.json").write_text(json.dumps({"videos": films}))
    (data / "v2/imu").mkdir(parents=True)
    for uid in ("a", "b"):
        write_film(data / f"v2/full_scale/{uid}.mp4", 12)
        times = np.arange(0, 12_000, 5)
        motion = np.sin(times[:, None] / np.arange(50, 110, 10))
        names = "canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
        table = np.column_stack([times, motion])
        np.savetxt(data / f"v2/imu/{uid}.csv", table, "%.5g", ",", header=names, comments="")
    notes = [{"timestamp_sec": second} for second in (1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)]
    (data / "v2/annotations").mkdir()
    parts = {"a": {"narration_pass_1": {"narrations": notes}}}
    (data / "v2/annotations/narration.json").write_text(json.dumps(parts))
    run_script("ego4d", data, monkeypatch)
    lines = (data / "ego4d/pairs.csv").read_text().splitlines()
    assert len(lines) == 1 + 7  # the first has no 2.5 s before it
    assert all(line.startswith("a-") for line in lines[1:])
    table = np.loadtxt(data / "ego4d/clips/a-1.csv", delimiter=",", skiprows=1)
    assert table.shape == (1000, 7)
    assert table[0, 1] == pytest.approx(np.sin(500 / 80), abs=1e-4)  # accl_x comes first
    run("ego4d", data, tmp_path, monkeypatch)
