"""The recipes have Table 9's numbers, and run on synthetic data in the data sets' layouts."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import scipy.io
from PIL import Image

import openbind
from openbind.data.views import ViewPlan
from openbind.errors import InputError
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train
from tests.tiny_world import make_space

FOLDER = Path(__file__).parents[2] / "recipes" / "imagebind"
TABLE_9 = {
    #              width heads layers lr     decay batch clip repl epochs drop temp
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
    """All numbers are those of the paper's table."""
    modality, width, heads, layers, lr, decay, batch, clip, repeats, epochs, drop, temperature = (
        TABLE_9[name]
    )
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    (plan,) = recipe.pairs
    assert plan.pair == ("image", modality)
    schedule = recipe.schedule
    assert (schedule.lr, schedule.weight_decay, schedule.max_grad_norm) == (lr, decay, clip)
    assert (schedule.betas, schedule.epochs, schedule.warmup_epochs) == ((0.9, 0.95), epochs, 2)
    assert (recipe.batch_size, plan.repeat, plan.temperature) == (batch, repeats, temperature)
    tower = openbind.presets.imagebind_huge().towers[modality].config.trunk
    assert (tower.width, tower.heads, tower.depth) == (width, heads, layers)
    assert recipe.towers[modality].size == "imagebind_huge"
    assert recipe.towers[modality].config["trunk"]["drop_path"] == drop
    assert plan.loss == "info_nce"


def test_augmentation() -> None:
    """Augmentations are Table 9's; none where it has a dash."""
    (audio,) = read_recipe(FOLDER / "audioset.yaml").pairs
    assert audio.augment == {"audio": ({"frequency_mask": {"width": 12}},)}
    assert (audio.views.flip, audio.views.seconds) == (0.0, 2.0)
    (imu,) = read_recipe(FOLDER / "ego4d.yaml").pairs
    assert imu.augment == {}
    assert imu.views == ViewPlan()
    for name, modality in (("sun_rgbd", "depth"), ("llvip", "thermal")):
        (plan,) = read_recipe(FOLDER / f"{name}.yaml").pairs
        assert plan.augment == {
            modality: ({"erase": {"probability": 0.25}},),
            "image": (
                {"rand_augment": {"layers": 2, "magnitude": 9, "std": 0.5}},
                {"color_jitter": {"strength": 0.4}},
            ),
        }
        assert plan.views.flip == 0.5
        assert plan.views.crop is not None


@pytest.mark.parametrize("name", TABLE_9)
def test_complete(name: str) -> None:
    """Each is for 8 GPUs, starts from MIT-licensed weights, and states its data's license."""
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    assert recipe.start == "hf:laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    assert recipe.hardware.precision == "bfloat16"
    assert recipe.hardware.num_workers > 0
    assert recipe.batch_size % 8 == 0
    assert recipe.card.license
    assert recipe.card.limits
    assert recipe.pairs[0].validation is not None
    (data,) = recipe.card.data
    assert data.keys() == {"name", "use", "license", "origin"}
    assert all(data.values())


def run(name: str, data: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> openbind.Space:
    """Train a few steps of a recipe with a tiny tower from a tiny space."""
    monkeypatch.setenv("OPENBIND_CACHE", str(output / "cache"))
    openbind.save(make_space(), output / "start")
    modality = TABLE_9[name][0]
    trunk = "{width: 16, heads: 2, depth: 1}"
    changes = {
        "start": str(output / "start"),
        "batch_size": "4",
        f"towers.{modality}.config": SMALL[modality].replace("TRUNK", trunk),
        "schedule": "{lr: 1e-3, steps: 2}",
        "hardware": "{}",
        **({} if name == "ego4d" else {"pairs.0.validation": "0.2"}),
        "pairs.0.views.count": "2",
    }
    recipe = read_recipe(FOLDER / f"{name}.yaml", changes)
    space = openbind.load(str(train(recipe, data, output / "run")))
    assert space.modalities == ("image", modality)
    return space


def read_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def run_script(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--data", str(data)])
    read_script(name).main()


def write_image(path: Path, mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (30, 40, 3) if mode == "RGB" else (30, 40)
    pixels = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_video(path: Path, seconds: float, seed: int = 0) -> None:
    """A video of noise with a tone."""
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


@pytest.mark.slow
def test_audioset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos of some seconds, image and sound of the same moment."""
    for index in range(8):
        write_video(tmp_path / "data/audioset/train" / f"{index}.mp4", 6, index)
    space = run("audioset", tmp_path / "data", tmp_path, monkeypatch)
    assert space.config.modalities["audio"].scale == pytest.approx(20)
    # The space that comes out hears a sound to its end.
    sound = np.zeros(16_000 * 5, np.float32)
    longer = sound.copy()
    longer[-16_000:] = np.random.default_rng(0).normal(0, 0.1, 16_000)
    embed_BE = space.encode("audio", [(sound, 16_000), (longer, 16_000)])
    assert not np.allclose(embed_BE[0], embed_BE[1], atol=1e-4)


def test_llvip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders with one name for each pair."""
    for index in range(10):
        split = "train" if index < 8 else "test"
        write_image(tmp_path / f"data/LLVIP/visible/{split}/{index:06}.jpg", seed=index)
        write_image(tmp_path / f"data/LLVIP/infrared/{split}/{index:06}.jpg", "L", seed=index)
    space = run("llvip", tmp_path / "data", tmp_path, monkeypatch)
    assert space.config.modalities["thermal"].scale == pytest.approx(10)


def write_frame(data: Path, name: str, index: int, focal_pixels: float) -> None:
    """A frame of SUN RGB-D: 1 + index / 10 m deep all over, its bits turned left by 3."""
    frame = data / "SUNRGBD" / name
    write_image(frame / "image" / f"{index}.jpg", seed=index)
    millimetres = np.full((30, 40), 1000 + 100 * index, np.uint16)
    (frame / "depth_bfx").mkdir()
    stored = (millimetres << 3) | (millimetres >> 13)
    Image.fromarray(stored).save(frame / "depth_bfx" / f"{index}.png")
    (frame / "intrinsics.txt").write_text(f"{focal_pixels} 0 365 0 {focal_pixels} 265 0 0 1")
    (frame / "scene.txt").write_text("office")


def test_sun_rgbd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames in their sensor's tree, depth with rotated bits, splits in a .mat."""
    data = tmp_path / "data"
    names = [f"kv2/kinect2data/{index:06}" for index in range(9)]
    names.append("xtion/sun3ddata/hotel/room_1/0000009")
    for index, name in enumerate(names):
        write_frame(data, name, index, 530.0 if index < 9 else 570.3)
    write_frame(data, "kv1/NYUdata/of_no_split", 10, 518.9)
    # Paths as in the original, some with a slash at their end; one isn't on the disk.
    frames = [f"/n/fs/sun3d/data/SUNRGBD/{n}{'/' * (i % 2)}" for i, n in enumerate(names)]
    lists = {
        "alltrain": np.array([*frames[:7], frames[9]], object),
        "alltest": np.array([*frames[7:9], "/n/fs/sun3d/data/SUNRGBD/kv1/NYUdata/gone"], object),
    }
    splits = data / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
    splits.parent.mkdir(parents=True)
    scipy.io.savemat(splits, lists)
    run_script("sun_rgbd", data, monkeypatch)
    printed = capsys.readouterr().out
    assert "10 frames" in printed
    assert "SUNRGBD/kv1/NYUdata/gone" in printed
    kept = data / "sun_rgbd" / "disparity"
    near = np.load(kept / "SUNRGBD_kv2_kinect2data_000000.npy")
    assert near.shape == (30, 40)
    assert near.astype(float) == pytest.approx(0.075 * 530 / 1.0, rel=1e-3)
    far = np.load(kept / "SUNRGBD_xtion_sun3ddata_hotel_room_1_0000009.npy")
    assert far.astype(float) == pytest.approx(0.095 * 570.3 / 1.9, rel=1e-3)
    with (data / "sun_rgbd" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 7 + ["test"] * 2 + ["train"]
    assert {row["label"] for row in rows} == {"office"}
    space = run("sun_rgbd", data, tmp_path, monkeypatch)
    assert space.config.modalities["depth"].scale == pytest.approx(5)
    assert space.config.modalities["depth"].settings.units == "disparity"


def test_sun_rgbd_broken(tmp_path: Path) -> None:
    """Depth of 8 bits, and a sensor that nobody knows, are named."""
    script = read_script("sun_rgbd")
    write_frame(tmp_path, "kv2/a", 0, 530.0)
    write_frame(tmp_path, "kv9/a", 0, 530.0)
    with pytest.raises(InputError, match=r"expected a folder of kv1.*found kv9"):
        script.read_camera(tmp_path, "SUNRGBD/kv9/a")
    depth = tmp_path / "SUNRGBD/kv2/a/depth_bfx/0.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(depth)
    with pytest.raises(InputError, match="16 bits"):
        script.read_disparity(depth, script.read_camera(tmp_path, "SUNRGBD/kv2/a"))


HELD = "video10"  # its name makes it one of those that validate


def write_imu(path: Path, milliseconds: np.ndarray) -> None:
    """Six waves, columns in Ego4D's order: gyroscope first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    motion = np.sin(milliseconds[:, None] / np.arange(50, 110, 10))
    names = "component_idx,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
    table = np.column_stack([np.zeros(len(motion)), milliseconds, motion])
    np.savetxt(path, table, "%.5g", ",", header=names, comments="")


@pytest.mark.slow
def test_ego4d(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Videos of one scenario; clips with IMU around narrations, those without are excluded."""
    data = tmp_path / "data"
    scenarios = {
        "a": ["Cooking"],
        "b": ["Cooking", "Cleaning"],
        "c": ["Walking"],
        HELD: ["Walking"],
    }
    videos = [{"video_uid": uid, "scenarios": found} for uid, found in scenarios.items()]
    data.mkdir()
    (data / "ego4d.json").write_text(json.dumps({"videos": videos}))
    for uid in ("a", "b", HELD):
        write_video(data / f"v2/full_scale/{uid}.mp4", 12, len(uid))
        write_imu(data / f"v2/imu/{uid}.csv", np.arange(0, 11_000, 5))
    notes = [{"timestamp_sec": second} for second in (1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)]
    passes = {
        "narration_pass_1": {"narrations": notes[:5]},
        "narration_pass_2": {"narrations": notes},
    }
    (data / "v2/annotations").mkdir()
    narrations = dict.fromkeys(scenarios, passes)
    (data / "v2/annotations/narration.json").write_text(json.dumps(narrations))
    run_script("ego4d", data, monkeypatch)
    # 2.5 s are missing before the first narration, of the IMU half a second after the last.
    assert "12 clips, 4 skipped" in capsys.readouterr().out
    with (data / "ego4d" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"][: -len("-1")] for row in rows] == ["a"] * 6 + [HELD] * 6
    assert {(row["label"], row["split"]) for row in rows} == {
        ("Cooking", "train"),
        ("Walking", "val"),
    }
    table = np.loadtxt(data / "ego4d/clips/a-1.csv", delimiter=",", skiprows=1)
    assert table.shape == (1000, 7)
    assert table[[0, -1], 0] == pytest.approx([0, 4.995])
    assert table[0, 1] == pytest.approx(np.sin(500 / 80), abs=1e-4)  # accl_x comes first
    space = run("ego4d", data, tmp_path, monkeypatch)
    assert space.config.modalities["imu"].scale == pytest.approx(5)
    assert space.config.modalities["imu"].settings.rate_hz == 400


def test_imu_gaps(tmp_path: Path) -> None:
    """Rows out of order, doubled or without a time are put right; a clip with a hole is refused."""
    script = read_script("ego4d")
    write_imu(tmp_path / "good.csv", np.arange(0, 6_000, 5))
    header, *lines = (tmp_path / "good.csv").read_text().splitlines()
    odd = [*reversed(lines), lines[3], "0,," + ",".join("1" * 6)]
    (tmp_path / "odd.csv").write_text("\n".join([header, *odd]) + "\n")
    good, mended = (
        script.read_motion(tmp_path / "good.csv"),
        script.read_motion(tmp_path / "odd.csv"),
    )
    assert np.array_equal(good[0], mended[0])
    assert np.array_equal(good[1], mended[1])
    assert script.cut_window(good, 0.5).shape == (1000, 7)
    assert script.cut_window(good, 2.0) is None
    one_dead = good[1].copy()
    one_dead[300:, 4] = np.nan
    assert script.cut_window((good[0], one_dead), 0.5) is None
    (tmp_path / "bad.csv").write_text("canonical_timestamp_ms,accl_x\n0,1\n")
    with pytest.raises(InputError, match="no columns accl_y, accl_z, gyro_x"):
        script.read_motion(tmp_path / "bad.csv")
    (tmp_path / "text.csv").write_text(f"{header}\n0,0,1,2,3,4,5,many\n")
    with pytest.raises(InputError, match=r"line 2: .*many"):
        script.read_motion(tmp_path / "text.csv")
