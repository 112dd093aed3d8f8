"""A path's content decides its format; other packages add formats without a change here."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import openbind
from openbind.checkpoints.formats import (
    FORMATS,
    CheckpointFormat,
    Listing,
    detect,
    load_checkpoint,
)
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


def format_of(path: Path) -> str:
    return detect(Listing(path)).name


def test_imagebind_file_and_its_directory(imagebind: Path) -> None:
    """Detected by tensor names, also in a directory with an unknown library's config.json."""
    (imagebind.parent / "config.json").write_text(json.dumps({"vision_embed_dim": 32}))
    for path in (imagebind, imagebind.parent):
        assert format_of(path) == "imagebind"
        space = load_checkpoint(path, heads=HEADS, modalities=["imu"])
        assert (space.name, space.modalities) == ("imagebind", ("imu",))


def test_openclip_file(tmp_path: Path) -> None:
    """Detected by tensor names; a truncated file by its own name."""
    path = tmp_path / "open_clip_pytorch_model.bin"
    torch.save({"visual.conv1.weight": torch.zeros(8, 3, 4, 4)}, path)
    assert format_of(path) == format_of(tmp_path) == "openclip"
    with pytest.raises(CheckpointError, match=r"visual\.positional_embedding"):
        load_checkpoint(path)
    path.write_bytes(path.read_bytes()[:100])
    assert format_of(tmp_path) == "openclip"
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(tmp_path)


def test_own_format(starter: openbind.Space) -> None:
    """A directory with `format` in its config; it takes no hints."""
    assert starter.folder is not None
    assert format_of(starter.folder) == "openbind"
    assert load_checkpoint(starter.folder, modalities=["text"]).modalities == ("text",)
    with pytest.raises(CheckpointError, match="activation"):
        load_checkpoint(starter.folder, activation="gelu")


def test_huggingface_directory(tmp_path: Path) -> None:
    """Detected by `model_type` in config.json; an unsupported type is named."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert format_of(tmp_path) == "huggingface"
    with pytest.raises(CheckpointError, match="'bert'"):
        load_checkpoint(tmp_path)


def test_unknown_content(tmp_path: Path) -> None:
    """An empty directory, unknown tensors, a missing path: each error names what was found."""
    with pytest.raises(CheckpointError, match="found no files"):
        load_checkpoint(tmp_path)
    save_file({"bert.x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"1 tensors, the first bert\.x"):
        load_checkpoint(tmp_path / "x.safetensors")
    shutil.copy(tmp_path / "x.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"found model\.safetensors, x\.safetensors"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "y")


def sniff_toy(listing: Listing) -> int:
    return 100 if listing.config.get("toy") else 0


def load_toy(listing: Listing, *, scale: float = 1.0, **options: Any) -> openbind.Space:
    """Load "toy": the starter's text tower, its head multiplied by the file's number."""
    factor = float(np.load(listing.path / "toy.npy")) * scale
    space = openbind.load("starter", modalities=["text"], device="cpu")
    with torch.no_grad():
        space.towers["text"].head.weight.mul_(factor)
        space.towers["text"].head.bias.mul_(factor)
    space.config = replace(space.config, name="toy")
    return space


TOY = CheckpointFormat(
    name="toy",
    sniff=sniff_toy,
    load=load_toy,
    weights=lambda listing, modalities: [["toy.npy"]],
    hints=("scale",),
)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A directory in the format `toy`."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"toy": 1}))
    np.save(folder / "toy.npy", -1.0)
    return folder


def test_documented_format(tmp_path: Path) -> None:
    """The example of docs/checkpoints.md runs as written."""
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "alias.json").write_text('{"space": "starter"}')
    try:
        exec(code, {})
        assert openbind.load(tmp_path, modalities=["imu"]).modalities == ("imu",)
    finally:
        FORMATS.added.clear()


@pytest.mark.parametrize("how", ["add", "entry point"])
def test_format_of_another_package(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """`openbind.load` and hints know a format that this process or a package adds."""
    with pytest.raises(CheckpointError, match="expected a format of"):
        openbind.load(toy)
    if how == "add":
        FORMATS.add("toy", TOY)
    else:
        package = tmp_path / "package"
        (package / "toys-1.0.dist-info").mkdir(parents=True)
        (package / "toys.py").write_text(f"import sys\nFORMAT = sys.modules[{__name__!r}].TOY\n")
        info = package / "toys-1.0.dist-info"
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
        group = f"[{FORMATS.group}]\ntoy = toys:FORMAT\n"
        (info / "entry_points.txt").write_text(group)
        monkeypatch.syspath_prepend(str(package))
    try:
        space = openbind.load(toy, device="cpu")
        assert space.name == "toy"
        expected = -openbind.load("starter", device="cpu").encode("text", ["a dog"])
        np.testing.assert_allclose(space.encode("text", ["a dog"]), expected, atol=1e-6)
        assert load_checkpoint(toy, scale=2.0).name == "toy"
        with pytest.raises(CheckpointError, match="expected scale"):
            load_checkpoint(toy, heads={"text": 2})
    finally:
        FORMATS.added.pop("toy", None)
