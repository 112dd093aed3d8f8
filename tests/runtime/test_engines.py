"""Engines run a graph of their format, and name what they can't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbind.errors import CheckpointError
from openbind.runtime.engines import ENGINES


def write_doubling(path: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    make = onnx.helper
    given, doubled = (
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3])
        for name in ("clips", "unit_vectors")
    )
    node = make.make_node("Add", ["clips", "clips"], ["unit_vectors"])
    opset = [make.make_opsetid("", 18)]
    graph = make.make_graph([node], "doubling", [given], [doubled])
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@pytest.mark.parametrize(("name", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_graphs_run(name: str, package: str, tmp_path: Path) -> None:
    """Results of an earlier call stay as they were."""
    pytest.importorskip(package, reason=f"needs the extra {name}")
    run = ENGINES.get(name)(write_doubling(tmp_path / "doubling.onnx"), "float32")
    clips = np.arange(6, dtype=np.float32).reshape(2, 3)
    first, second = run(clips), run(-clips)
    assert np.array_equal(first, 2 * clips)
    assert np.array_equal(second, -2 * clips)
    with pytest.raises(CheckpointError, match="float8"):
        ENGINES.get(name)(tmp_path / "doubling.onnx", "float8")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError) as caught:
        ENGINES.get(name)(tmp_path / "broken.onnx", "auto")
    assert Path(caught.value.path).name == "broken.onnx"
