"""SUN RGB-D on a look-alike in its true layout."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from openbind.errors import InputError, MissingExtraError
from openbind.evaluation.suites.sun_rgbd import SUITE, Frame
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import LinearProbe
from openbind.evaluation.tasks.task import Task

FRAMES = {
    "kv2/kinect2data/000065": ("office", 530.0, "test"),
    "xtion/sun3ddata/hotel/room_1/0000009": ("living_room", 570.3, "test"),
    "kv1/NYUdata/NYU0001": ("office", 518.9, "train"),
    "kv1/NYUdata/NYU0002": ("exhibition", 518.9, "test"),
}


def make_look_alike(data: Path) -> Path:
    """Frames 2 m deep all over, their bits turned left by 3, in their sensors' trees."""
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for name, (scene, focal, split) in FRAMES.items():
        frame = data / "SUNRGBD" / name
        (frame / "depth_bfx").mkdir(parents=True)
        counts_HW = np.full((30, 40), 2000 << 3, np.uint16)
        Image.fromarray(counts_HW).save(frame / "depth_bfx" / "0.png")
        (frame / "intrinsics.txt").write_text(f"{focal} 0 365 0 {focal} 265 0 0 1")
        (frame / "scene.txt").write_text(scene)
        splits[split].append(f"/n/fs/sun3d/data/SUNRGBD/{name}")
    table = data / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
    table.parent.mkdir(parents=True)
    lists = {f"all{split}": np.array(names, object) for split, names in splits.items()}
    scipy.io.savemat(table, lists)
    return data


def test_read(tmp_path: Path, embed: Callable[[Task], np.ndarray]) -> None:
    """Test frames of the 19 scenes; each has its own camera's disparity."""
    task, probe = SUITE.read(make_look_alike(tmp_path))
    assert isinstance(task, Classification)
    assert isinstance(probe, LinearProbe)
    assert len(task.classes) == 19
    assert [task.classes[target] for (target,) in task.targets] == [("office",), ("living room",)]
    assert probe.train is not None
    assert [task.classes[target] for target in probe.train.targets] == [("office",)]
    assert (probe.probe.lr, probe.probe.weight_decay, probe.probe.epochs) == (1e-2, 0.0, 60)
    for item, expected in zip(task.items, (0.075 * 530 / 2, 0.095 * 570.3 / 2), strict=True):
        assert isinstance(item, Frame)
        assert item.read() == pytest.approx(expected, rel=1e-6)
    assert len(embed(task)) == 2


def test_broken(tmp_path: Path) -> None:
    """No focal length, a malformed split, or one of other frames."""
    data = make_look_alike(tmp_path)
    intrinsics = data / "SUNRGBD" / "kv2/kinect2data/000065" / "intrinsics.txt"
    good = intrinsics.read_text()
    intrinsics.write_text("")
    with pytest.raises(InputError, match=r"intrinsics\.txt: expected a focal length"):
        SUITE.read(data)
    intrinsics.write_text(good)
    table = data / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
    empty = np.array([], object)
    scipy.io.savemat(table, {"alltrain": empty, "alltest": empty})
    with pytest.raises(InputError, match="none of its frames is a test frame"):
        SUITE.read(data)
    scipy.io.savemat(table, {"alltrain": empty})
    with pytest.raises(InputError, match="no field alltest"):
        SUITE.read(data)
    table.write_bytes(b"no table at all, but long enough to have a header" * 9)
    with pytest.raises(InputError, match="not a MATLAB file"):
        SUITE.read(data)


def test_without_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    data, import_ = make_look_alike(tmp_path), builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return import_(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"openbind\[suites\]"):
        SUITE.read(data)
