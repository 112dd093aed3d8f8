"""NYU Depth V2 on a look-alike in its true layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

import openbind
from openbind.embedding.cache import VectorCache
from openbind.embedding.many import Entry, view_keys
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.suites.nyu_depth import SUITE, Frame
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import LinearProbe
from openbind.evaluation.tasks.task import Task

SCENES = ("kitchen", "student_lounge", "home_office", "study")


def make_look_alike(data: Path, scenes: tuple[str, ...] = SCENES) -> Path:
    """Images 1, 2, … m deep with a near left half, as MATLAB 7.3 writes them: axes turned."""
    depths = np.stack([np.full((40, 30), 1.0 + row, np.float32) for row in range(len(scenes))])
    depths[:, :20] = 0.5
    with h5py.File(data / "nyu_depth_v2_labeled.mat", "w") as file:
        file["depths"] = depths
        cells = file.create_dataset("sceneTypes", (1, len(scenes)), h5py.ref_dtype)
        for row, scene in enumerate(scenes):
            letters = np.array([[ord(letter)] for letter in scene], np.uint16)
            cells[0, row] = file.create_dataset(f"#refs#/{row}", data=letters).ref
    splits = {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[3], [4]])}
    scipy.io.savemat(data / "splits.mat", splits)
    return data


def test_read(tmp_path: Path, embed: Callable[[Task], np.ndarray]) -> None:
    """Images by their numbers from 1; rooms beside the nine are "other" by 18 names."""
    task, probe = SUITE.read(make_look_alike(tmp_path))
    assert isinstance(task, Classification)
    assert isinstance(probe, LinearProbe)
    assert len(task.classes) == 10
    assert len(task.classes[9]) == 18
    assert [task.classes[target][0] for (target,) in task.targets] == ["home office", "basement"]
    assert probe.train is not None
    assert [task.classes[target][0] for target in probe.train.targets] == ["kitchen", "basement"]
    frame = task.items[0]
    assert isinstance(frame, Frame)
    disparity_HW = frame.read()
    assert disparity_HW.shape == (30, 40)
    assert disparity_HW[:, 20:] == pytest.approx(0.075 * 518.857901 / 3)
    assert disparity_HW[:, :20] == pytest.approx(0.075 * 518.857901 / 0.5)
    vectors_NE = embed(task)
    assert not np.allclose(vectors_NE[0], vectors_NE[1], atol=1e-4)


def test_images_of_one_file_are_kept_apart(tmp_path: Path, tiny: openbind.Space) -> None:
    """Each has a vector of its own in the cache, found again without reading the image."""
    task, _ = SUITE.read(make_look_alike(tmp_path))
    entries = [Entry("depth", item) for item in task.items]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        first = Embedder(tiny, cache=cache).embed("depth", task.items).vectors_NE
        keys = [view_keys(tiny.identity("depth"), entry)[0] for entry in entries]
        cached = cache.get(keys)
    assert np.array_equal(np.stack([cached[key] for key in keys]), first)


def test_broken(tmp_path: Path) -> None:
    """Rooms of an unknown kind, other files, numbers of images that aren't there."""
    with pytest.raises(InputError, match="garage"):
        SUITE.read(make_look_alike(tmp_path, ("kitchen", "garage", "study", "study")))
    data = make_look_alike(tmp_path)
    scipy.io.savemat(data / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[9]]})
    with pytest.raises(InputError, match="there are only 4 images"):
        SUITE.read(data)
    scipy.io.savemat(data / "splits.mat", {"testNdxs": [[1]]})
    with pytest.raises(InputError, match="no field trainNdxs"):
        SUITE.read(data)
    with h5py.File(data / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(InputError, match="no depths and no sceneTypes"):
        SUITE.read(data)
    (data / "nyu_depth_v2_labeled.mat").write_bytes(b"no such thing")
    with pytest.raises(InputError, match="not an HDF5 file"):
        SUITE.read(data)
