"""The manifest reads back as it was written, whole or in part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.runtime.manifest import (
    Graph,
    Manifest,
    check_files,
    read_manifest,
    write_manifest,
)


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "image.onnx").write_bytes(b"graph")
    (tmp_path / "image.onnx.data").write_bytes(b"weights beside it")
    settings = MODALITIES.get("image").settings(size=32, fit="pad")
    graph = Graph(
        file="image.onnx", clip=(3, 32, 32), type="float32", settings=settings, version=1, items=2
    )
    manifest = Manifest(
        format="onnx", name="small", dim=8, source="ab", modalities={"image": graph}
    )
    write_manifest(tmp_path, manifest)
    found = read_manifest(tmp_path)
    assert found.modalities == manifest.modalities
    assert set(found.digests) == {"image.onnx", "image.onnx.data"}
    assert found.files("image") == {"image.onnx", "image.onnx.data"}
    (tmp_path / "image.onnx.data").write_bytes(b"others")
    with pytest.raises(CheckpointError) as caught:
        check_files(tmp_path, found, ["image"])
    assert Path(caught.value.path).name == "image.onnx.data"


def test_some_modalities(tmp_path: Path) -> None:
    """Others aren't there, nor is their code imported: that of video imports PyTorch."""
    graphs = {}
    for name, clip in {"image": (3, 32, 32), "video": (3, 2, 32, 32)}.items():
        (tmp_path / f"{name}.onnx").write_bytes(b"graph")
        settings = MODALITIES.get(name).settings(size=32)
        version = MODALITIES.get(name).version
        graphs[name] = Graph(
            file=f"{name}.onnx", clip=clip, type="float32", settings=settings, version=version,
            items=2,
        )  # fmt: skip
    write_manifest(tmp_path, Manifest(format="onnx", name="s", dim=8, source="", modalities=graphs))
    assert list(read_manifest(tmp_path, ["image"]).modalities) == ["image"]
    with pytest.raises(UnknownNameError):
        read_manifest(tmp_path, ["audio"])
    code = f"""
import sys
from pathlib import Path
from openbind.runtime.manifest import read_manifest
read_manifest(Path({str(tmp_path)!r}), ["image"])
print("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
