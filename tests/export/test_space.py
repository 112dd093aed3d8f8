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
from openbind.space.config import Binding
from openbind.space.space import Space
from tests.tiny_spaces import make_space, random_tower

ITEMS = {"image": [Image.linear_gradient("L"), Image.radial_gradient("L")]}


def test_folder(exported: Path) -> None:
    """Graphs, settings, digests, parity and the card are there, readable without openbind."""
    values = json.loads((exported / "export.json").read_text())
    names = {path.name for path in exported.iterdir()}
    graphs = {"image.onnx", "text.onnx", "audio.onnx", "imu.onnx"}
    assert names == {*graphs, "export.json", "card.json", "README.md"}
    assert values["modalities"]["image"]["settings"]["size"] == 32
    assert values["modalities"]["text"]["padding"] == 0
    assert values["modalities"]["image"]["padding"] is None
    assert values["modalities"]["audio"]["clip"] == [1, 96, 100]
    assert set(values["digests"]) == graphs
    for graph in values["modalities"].values():
        assert graph["items"] == 16
        assert graph["cosine"] >= 0.9999


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of PyTorch 2.11's load
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
    space, lines = add_eigenvalues(make_space("image")), list[str]()
    manifest = export_space(space, tmp_path / "small", items=ITEMS, report=lines.append)
    assert list(manifest.modalities) == ["image"]
    assert [line.partition(",")[0] for line in lines] == ["thermal: skipped", "image: image.onnx"]
    assert not list((tmp_path / "small").glob("thermal*"))
    with pytest.raises(CheckpointError) as caught:
        export_space(space, tmp_path / "both", modalities=["thermal", "image"], items=ITEMS)
    assert caught.value.path == "thermal"
    assert not (tmp_path / "both").exists()


class Eigenvalues(torch.nn.Module):
    """Has an operation that ONNX lacks."""

    def forward(self, embed_BE: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(embed_BE[:, :, None] * embed_BE[:, None])


def add_eigenvalues(space: Space) -> Space:
    """Return a space whose first modality has a tower that ONNX lacks."""
    spec, settings = space.config.towers["image"], MODALITIES.get("thermal").settings(size=32)
    tower = random_tower(spec)
    tower.head = torch.nn.Sequential(tower.head, Eigenvalues())
    config = replace(
        space.config,
        towers={"thermal": spec, **space.config.towers},
        modalities={
            "thermal": Binding(tower="thermal", settings=settings),
            **space.config.modalities,
        },
    )
    return Space(config, {"thermal": tower, **space.towers})
