"""The manifest reads back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import CheckpointError
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
