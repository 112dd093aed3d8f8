"""An exported folder is whole, equal to the space, or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.errors import CheckpointError, UnknownNameError
from openbind.export import space as export
from openbind.export.space import export_space
from openbind.modalities import MODALITIES
from openbind.modalities.image import ImageSettings
from openbind.model.backbones.motion_statistics import MotionStatisticsConfig
from openbind.space.config import Binding, TowerSpec
from openbind.space.space import Space
from tests.tiny_spaces import make_space, random_tower

ITEMS = {"image": [Image.linear_gradient("L"), Image.radial_gradient("L")]}


def test_folder(exported: Path) -> None:
    """Graphs, settings, digests, parity and the card are there, readable without openbind."""
    values = json.loads((exported / "export.json").read_text())
    names = {path.name for path in exported.iterdir()}
    assert names == {"image.onnx", "text.onnx", "audio.onnx", *("export.json", "card.json")} | {
        "README.md"
    }
    assert values["modalities"]["image"]["settings"]["size"] == 32
    assert values["modalities"]["text"]["padding"] == 0
    assert values["modalities"]["image"]["padding"] is None
    assert values["modalities"]["audio"]["clip"] == [1, 96, 100]
    assert set(values["digests"]) == {"image.onnx", "text.onnx", "audio.onnx"}
    for graph in values["modalities"].values():
        assert graph["items"] == 16
        assert graph["cosine"] >= 0.9999


def test_pt2(tmp_path: Path) -> None:
    """PyTorch's own format holds the same vectors; a space in bfloat16 isn't changed by it."""
    space = make_space("image").to("cpu", torch.bfloat16)
    manifest = export_space(space, tmp_path / "small", format="pt2", items=ITEMS)
    assert manifest.modalities["image"].items == 2
    assert next(space.towers["image"].parameters()).dtype == torch.bfloat16
    graph = torch.export.load(tmp_path / "small" / "image.pt2").module()
    clips = space.preprocess("image", ITEMS["image"])
    assert np.linalg.norm(graph(clips).detach().numpy(), axis=1) == pytest.approx(1, abs=1e-5)


def test_nothing_is_left_without_parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of other numbers than the tower's leaves no folder behind."""
    traced = export.trace

    def trace_wrongly(name: str, tower: torch.nn.Module, *arguments: object) -> object:
        wrong = make_space("image").towers["image"]
        wrong.head.proj.weight.copy_(wrong.head.proj.weight.flip(0))  # type: ignore[union-attr]
        return traced(name, wrong, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "trace", trace_wrongly)
    with pytest.raises(CheckpointError) as caught:
        export_space(make_space("image"), tmp_path / "small", format="pt2", items=ITEMS)
    assert caught.value.path == "image"
    assert "0.9999" in caught.value.reason
    assert list(tmp_path.iterdir()) == []


def test_refused(tmp_path: Path) -> None:
    """Each before anything is computed or written."""
    space = make_space("image")
    with pytest.raises(UnknownNameError) as format:
        export_space(space, tmp_path / "small", format="tflite")
    assert format.value.known == ("onnx", "pt2")
    with pytest.raises(UnknownNameError):
        export_space(space, tmp_path / "small", modalities=["depth"])
    with pytest.raises(UnknownNameError, match="dtype of pt2"):
        export_space(space, tmp_path / "small", format="pt2", dtype="int8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty"):
        export_space(space, tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_settings_that_need_other_clips_are_kept(tmp_path: Path) -> None:
    """The graph takes the clips that the space's own settings make."""
    space = make_space("image").with_settings("image", fit="pad")
    manifest = export_space(space, tmp_path / "small", format="pt2", items=ITEMS)
    settings = manifest.modalities["image"].settings
    assert isinstance(settings, ImageSettings)
    assert settings.fit == "pad"


def test_what_cannot_be_written_is_skipped(tmp_path: Path) -> None:
    """Of all modalities those that ONNX has no operations for; asked for, they are an error."""
    pytest.importorskip("onnxscript", reason="the extra onnx isn't installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx isn't installed")
    space, lines = add_motion(make_space("image")), list[str]()
    manifest = export_space(space, tmp_path / "small", items=ITEMS, report=lines.append)
    assert list(manifest.modalities) == ["image"]
    assert [line.partition(",")[0] for line in lines] == ["imu: skipped", "image: image.onnx"]
    assert not list((tmp_path / "small").glob("imu*"))
    with pytest.raises(CheckpointError) as caught:
        export_space(space, tmp_path / "both", modalities=["imu", "image"], items=ITEMS)
    assert caught.value.path == "imu"
    assert not (tmp_path / "both").exists()


def add_motion(space: Space) -> Space:
    """Return a space with a tower of the starter's kind for motion besides, the first modality."""
    spec = TowerSpec(kind="motion_statistics", config=MotionStatisticsConfig(embed_dim=space.dim))
    settings = MODALITIES.get("imu").settings(steps=100, rate_hz=10)
    binding = Binding(tower="imu", settings=settings)
    config = replace(
        space.config,
        towers={"imu": spec, **space.config.towers},
        modalities={"imu": binding, **space.config.modalities},
    )
    return Space(config, {"imu": random_tower(spec), **space.towers})
