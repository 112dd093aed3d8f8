"""Exported spaces encode as the space does, without PyTorch; what they can't do is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.errors import CheckpointError, InputError, MissingExtraError, UnknownNameError
from openbind.runtime.exported import open_exported, run_clips
from tests.tiny_spaces import make_space

RUNTIMES = ["onnx", "openvino"]
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 200_001)).astype(np.float32)
ITEMS: dict[str, list[Any]] = {
    "image": [Image.linear_gradient("L"), np.zeros((20, 30, 3), np.uint8)],
    "text": ["a dog", "a much longer sentence about two dogs that bark"],
    "audio": [(NOISE, 44_100), (NOISE[:, :50], 8_000), (NOISE, 44_101)],
    "imu": [(10 * NOISE[:, :6_000].reshape(-1, 6), 50), (np.ones((70, 6)), 20)],
}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    package = {"onnx": "onnxruntime", "openvino": "openvino"}[request.param]
    pytest.importorskip(package, reason=f"needs the extra {request.param}")
    return str(request.param)


def test_vectors_equal_the_spaces(exported: Path, runtime: str) -> None:
    """Of images, texts of different length, sounds and motion of any rate and length."""
    items = dict(ITEMS)
    if runtime == "openvino":  # which lacks what graphs of IMU data do
        with pytest.raises(CheckpointError, match="modalities="):
            openbind.load(exported, runtime=runtime)
        del items["imu"]
    space = make_space(*items)
    small = openbind.load(exported, runtime=runtime, modalities=list(items))
    assert (small.name, small.dim, small.modalities) == (space.name, space.dim, space.modalities)
    for modality, some in items.items():
        expected = space.encode(modality, some, pool=None)
        for found, one in zip(small.encode(modality, some, pool=None), expected, strict=True):
            assert found == pytest.approx(one, abs=2e-5)
            assert found.times == one.times
        vectors = small.encode(modality, some, batch_size=1)
        assert vectors == pytest.approx(space.encode(modality, some), abs=2e-5)
        assert small.encode(modality, some[0]).shape == (space.dim,)
    assert small.encode("text", []).shape == (0, space.dim)
    images, texts = (small.encode(name, ITEMS[name]) for name in ("image", "text"))
    found = small.logits("image", images, "text", texts)
    assert found == pytest.approx(space.logits("image", images, "text", texts), abs=1e-5)


def test_torch_is_not_imported(exported: Path, tmp_path: Path) -> None:
    """Items of all modalities are embedded in a process that never imports it."""
    Image.linear_gradient("L").save(tmp_path / "gradient.png")
    code = f"""
import sys, numpy, openbind
space = openbind.load({str(exported)!r}, runtime="onnx")
space.encode("image", [{str(tmp_path / "gradient.png")!r}])
space.encode("text", ["a dog"])
space.encode("audio", [(numpy.ones(48_000, numpy.float32) / 2, 48_000)])
space.encode("imu", [(numpy.ones((500, 6)), 50)])
print(sorted({{"torch", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_bad_items(exported: Path) -> None:
    """One is reported; the others' vectors are there."""
    small, seen = open_exported(exported, "onnx", modalities=["image"]), []
    items = [np.zeros((4, 4, 3), np.uint8), "missing.png"]
    rows = small.encode("image", items, on_error=lambda index, error: seen.append((index, error)))
    assert [index for index, _ in seen] == [1]
    assert np.isfinite(rows[0]).all()
    assert np.isnan(rows[1]).all()
    with pytest.raises(InputError, match=r"missing\.png"):
        small.encode("image", items)


def test_refused(exported: Path, tmp_path: Path) -> None:
    small = open_exported(exported, "onnx", modalities=["text"])
    with pytest.raises(AttributeError, match="locate"):
        small.locate("image.png", None)
    with pytest.raises(UnknownNameError):
        small.encode("image", [])
    with pytest.raises(UnknownNameError) as unknown:
        openbind.load(exported, runtime="tensorrt")
    assert unknown.value.known == ("onnx", "openvino")
    with pytest.raises(UnknownNameError):
        open_exported(exported, "onnx", modalities=["depth"])
    with pytest.raises(CheckpointError, match="openbind export"):
        openbind.load(tmp_path, runtime="onnx")
    with pytest.raises(TypeError, match="device"):
        openbind.load(exported, runtime="onnx", device="cpu")
    with pytest.raises(CheckpointError, match="bfloat16"):
        openbind.load(exported, runtime="onnx", dtype="bfloat16")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "text.onnx").unlink(), "text.onnx"),
        (lambda folder: (folder / "text.onnx").write_bytes(b"altered"), "text.onnx"),
        (lambda folder: edit(folder, "export", 99), "export.json"),
        (lambda folder: edit(folder, "digests", {}), "text.onnx"),
        (lambda folder: edit(folder, "format", "pt2"), "changed"),
        (lambda folder: edit(folder, "dim", -1), "export.json"),
        (lambda folder: edit_graph(folder, file="../text.onnx"), "changed"),
        (lambda folder: edit_graph(folder, version=0), "export.json"),
        (lambda folder: edit_graph(folder, settings={"tokeniser": "x"}), "export.json"),
    ],
)
def test_changed_folders_are_refused(
    exported: Path, tmp_path: Path, change: Any, named: str
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(exported, folder)
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        open_exported(folder, "onnx", modalities=["text"])
    assert Path(caught.value.path).name == named


def edit(folder: Path, key: str, value: Any) -> None:
    values = json.loads((folder / "export.json").read_text())
    values[key] = value
    (folder / "export.json").write_text(json.dumps(values))


def edit_graph(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "export.json").read_text())
    edit(folder, "modalities", {"text": {**values["modalities"]["text"], **changes}})


def test_identity(exported: Path) -> None:
    """Vectors of another runtime have another identity; the same folder has the same."""
    small = open_exported(exported, "onnx", modalities=["text"])
    again = open_exported(exported, "onnx", modalities=["text"])
    assert small.identity("text") == again.identity("text")
    exact = open_exported(exported, "onnx", modalities=["text"], dtype="float32")
    assert small.identity("text") != exact.identity("text")


def test_missing_extra(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError) as caught:
        open_exported(exported, "onnx")
    assert caught.value.extra == "onnx"


def test_batches_are_cut_to_the_longest_text() -> None:
    """Columns of padding are cut, the one that may end a text is kept; order is the clips'."""
    widths: list[tuple[int, ...]] = []

    def run(batch: np.ndarray) -> np.ndarray:
        widths.append(batch.shape)
        return batch[:, :1].astype(np.float32)

    rows = [[5, 1, 1, 0, 0], [6, 0, 0, 0, 0], [7, 1, 0, 0, 0], [8, 0, 0, 0, 0]]
    found = run_clips(run, [np.array(row) for row in rows], 0, 2)
    assert [float(row[0]) for row in found] == [5, 6, 7, 8]
    assert widths == [(2, 2), (2, 4)]
    widths.clear()
    run_clips(run, [np.array(row) for row in rows], None, 3)
    assert widths == [(3, 5), (1, 5)]
