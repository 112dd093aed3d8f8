"""What lies at a path is told by what is in it, and read as that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import openbind
from openbind.checkpoints.formats import is_native, read
from openbind.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind_mini.safetensors"
HEADS = {"vision": 4, "text": 2, "audio": 3, "depth": 2, "thermal": 4, "imu": 2}


@pytest.fixture
def imagebind(tmp_path: Path) -> Path:
    """An official file."""
    with safe_open(GOLDEN, "pt") as file:
        state = {
            key.removeprefix("state/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if key.startswith("state/")
        }
    path = tmp_path / "hub" / "model.safetensors"
    path.parent.mkdir()
    save_file(state, path)
    return path


def test_imagebind_file_and_its_directory(imagebind: Path) -> None:
    """By its names; in a directory whose config.json is of a library that we don't know, too."""
    (imagebind.parent / "config.json").write_text(json.dumps({"vision_embed_dim": 32}))
    assert not is_native(imagebind.parent)
    for path in (imagebind, imagebind.parent):
        space = read(path, heads=HEADS, modalities=["imu"])
        assert (space.name, space.modalities) == ("imagebind", ("imu",))


def test_openclip_file(tmp_path: Path) -> None:
    """By its names: what is wrong with it is then said of OpenCLIP."""
    torch.save({"visual.conv1.weight": torch.zeros(8, 3, 4, 4)}, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=r"visual\.positional_embedding: missing"):
        read(tmp_path / "w.bin")


def test_ours(starter: openbind.Space, tmp_path: Path) -> None:
    """A directory with our format in its config."""
    assert starter.folder is not None
    assert is_native(starter.folder)
    assert not is_native(tmp_path / "missing")
    assert read(starter.folder, modalities=["text"]).modalities == ("text",)
    with pytest.raises(CheckpointError, match="leave them out"):
        read(starter.folder, activation="gelu")


def test_huggingface_directory(tmp_path: Path) -> None:
    """`model_type` in config.json sends it there."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="expected clip or siglip, found 'bert'"):
        read(tmp_path)


def test_nothing_known(tmp_path: Path) -> None:
    """An empty directory, other tensors, no file."""
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        read(tmp_path)
    save_file({"bert.x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"found 1 tensors, the first bert\.x"):
        read(tmp_path / "x.safetensors")
    shutil.copy(tmp_path / "x.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="found 1 tensors"):
        read(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        read(tmp_path / "y")
