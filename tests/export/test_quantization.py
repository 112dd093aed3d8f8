"""Convolutions are stored in 8 bits; graphs of other products stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from openbind.errors import CheckpointError
from openbind.export.quantization import quantize_convolutions
from openbind.runtime.engines import open_onnx_runtime
from tests.tiny_spaces import make_space


def test_convolutions(exported: Path, tmp_path: Path) -> None:
    """The file is smaller, and its vectors are near the tower's."""
    path = Path(shutil.copy(exported / "audio.onnx", tmp_path))
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    rng = np.random.default_rng(0)
    batches = [rng.random((2, 1, 96, 100), np.float32) for _ in range(3)]
    before = open_onnx_runtime(path, "auto")(batches[0])
    assert quantize_convolutions("audio", path, batches)
    stored = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.INT8 in stored
    after = open_onnx_runtime(path, "auto")(batches[0])
    assert not np.array_equal(before, after)
    assert (before * after).sum(axis=1).min() > 0.98
    assert make_space("audio").dim == after.shape[1]
    assert [file.name for file in tmp_path.iterdir()] == ["audio.onnx"]


def test_transformers_stay(exported: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(exported / "image.onnx", tmp_path))
    before = path.read_bytes()
    assert not quantize_convolutions("image", path, [])
    assert path.read_bytes() == before


def test_without_clips(exported: Path, tmp_path: Path) -> None:
    """Nothing to calibrate with is an error of the modality."""
    path = Path(shutil.copy(exported / "audio.onnx", tmp_path))
    with pytest.raises(CheckpointError) as caught:
        quantize_convolutions("audio", path, [])
    assert caught.value.path == "audio"
