"""Official ImageBind weights, in memory or a file, have the reference's outputs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import openbind
from openbind.checkpoints import load_imagebind
from openbind.checkpoints.imagebind_keys import HEADS
from openbind.checkpoints.tensors import open_tensors
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities import MODALITIES

GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind_mini.safetensors"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def golden() -> State:
    """All tensors of the golden file."""
    with safe_open(GOLDEN, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def state(golden: State) -> State:
    """The small model's official state dict."""
    return {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}


@pytest.fixture(scope="module")
def heads() -> dict[str, int]:
    """The small model's attention heads."""
    with safe_open(GOLDEN, "pt") as file:
        config = json.loads(file.metadata()["config"])
    return {tower: config[f"{tower}_num_heads"] for tower in HEADS}


@pytest.fixture(scope="module")
def space(state: State, heads: dict[str, int]) -> openbind.Space:
    """The small model."""
    return load_imagebind(state, heads=heads)


def test_golden(golden: State, space: openbind.Space) -> None:
    """All outputs of the reference, including video and clips, agree to 1e-4 in one call."""
    names = [key.removeprefix("input/") for key in golden if key.startswith("input/")]
    assert set(names) == {"vision", "video", "text", "audio", "depth", "thermal", "imu"}
    found = space.embed_tensors({name: golden[f"input/{name}"] for name in names}, scaled=True)
    for name in names:
        expected = golden[f"output/{name}"]
        assert (found[name] - expected).norm() < 1e-4 * expected.norm(), name
        torch.testing.assert_close(
            found[name], expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )


def test_space(space: openbind.Space, state: State) -> None:
    """All modalities with the reference's preprocessing, and the checkpoint's own scales."""
    assert set(space.modalities) == set(MODALITIES.table)
    assert space.config.modalities["video"].tower == space.config.modalities["image"].tower
    for name, binding in space.config.modalities.items():
        assert binding.settings == MODALITIES.get(name).settings()
        key = f"modality_postprocessors.{binding.tower}.1.log_logit_scale"
        stored = float(state[key].exp().clamp(max=100)) if key in state else 1.0
        assert binding.scale == pytest.approx(stored)
    assert space.config.dtype == "float32"
    assert "CC-BY-NC-SA" in space.card.license
    assert ("image", "text") in space.card.trained_pairs


def test_words_and_images_go_all_the_way(space: openbind.Space) -> None:
    """Texts and arrays embed as unit vectors."""
    image = np.zeros((40, 60, 3), np.uint8)
    for vectors in (space.encode("image", [image]), space.encode("image", image)[None]):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("extension", ["pth", "safetensors"])
def test_files(
    tmp_path: Path,
    space: openbind.Space,
    state: State,
    heads: dict[str, int],
    golden: State,
    extension: str,
) -> None:
    """Both file formats give bit-equal vectors, for all modalities or one."""
    path = tmp_path / f"mini.{extension}"
    torch.save(state, path) if extension == "pth" else save_file(state, path)
    whole = load_imagebind(path, heads)
    assert whole.fingerprint == space.fingerprint
    part = load_imagebind(str(path), heads, modalities=["imu"])
    assert part.modalities == ("imu",)
    assert list(part.towers) == ["imu"]
    x = {"imu": golden["input/imu"]}
    assert torch.equal(part.embed_tensors(x)["imu"], space.embed_tensors(x)["imu"])


def test_other_towers_are_not_read(tmp_path: Path, state: State, heads: dict[str, int]) -> None:
    """Corrupted bytes of other towers don't affect the loaded one."""
    path = tmp_path / "mini.safetensors"
    save_file({k: v if ".imu." in k else torch.full_like(v, torch.nan) for k, v in state.items()},
              path)  # fmt: skip
    part = load_imagebind(path, heads, modalities=["imu"])
    whole = load_imagebind(state, heads, modalities=["imu"])
    assert part.fingerprint == whole.fingerprint


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
@pytest.mark.parametrize("extension", ["pth", "safetensors"])
def test_memory(tmp_path: Path, state: State, heads: dict[str, int], extension: str) -> None:
    """Loading a small tower doesn't read the pages of a large one."""
    state = dict(state)
    key = "modality_preprocessors.text.token_embedding.weight"
    state[key] = torch.zeros(2_000_000, state[key].shape[1])
    path = tmp_path / f"big.{extension}"
    torch.save(state, path) if extension == "pth" else save_file(state, path)
    size = path.stat().st_size
    assert size > 100e6
    part = load_imagebind(path, heads, modalities=["imu"])
    part.embed_tensors({"imu": torch.zeros(1, 6, 2000)})
    assert resident_bytes(path) < size / 20
    used = open_tensors(path)[key]
    assert not used.any()
    assert resident_bytes(path) > size / 2  # the measure itself works


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives mapped memory back")
@pytest.mark.parametrize("extension", ["pth", "safetensors"])
def test_memory_of_conversion(
    tmp_path: Path, state: State, heads: dict[str, int], extension: str
) -> None:
    """Converted to half precision, none of the file stays in memory."""
    state = dict(state)
    key = "modality_preprocessors.text.token_embedding.weight"
    state[key] = torch.randn(500_000, state[key].shape[1])
    path = tmp_path / f"big.{extension}"
    torch.save(state, path) if extension == "pth" else save_file(state, path)
    half = load_imagebind(path, heads, modalities=["text"], dtype=torch.bfloat16)
    assert resident_bytes(path) < path.stat().st_size / 10
    expected = load_imagebind(state, heads, modalities=["text"], dtype=torch.bfloat16)
    assert half.fingerprint == expected.fingerprint


def resident_bytes(path: Path) -> int:
    """Return how many bytes of a file are in this process's memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_is_the_checkpoints(
    state: State, heads: dict[str, int], dtype: torch.dtype
) -> None:
    """A space computes in the checkpoint's precision, or in the given one."""
    stored = {k: v.to(dtype) for k, v in state.items()}
    own = load_imagebind(stored, heads, modalities=["depth"])
    assert {p.dtype for p in own.towers["depth"].parameters()} == {dtype}
    assert own.config.dtype == str(dtype).removeprefix("torch.")
    given = load_imagebind(stored, heads, modalities=["depth"], dtype=torch.float32)
    assert {p.dtype for p in given.towers["depth"].parameters()} == {torch.float32}


def test_saved_and_loaded(tmp_path: Path, space: openbind.Space, golden: State) -> None:
    """Official weights survive openbind's own format bit-exactly, including the precision."""
    openbind.save(space, tmp_path / "space")
    again = openbind.load(tmp_path / "space", device="cpu")
    assert again.config == space.config
    x = {"video": golden["input/video"], "text": golden["input/text"]}
    found, expected = again.embed_tensors(x, scaled=True), space.embed_tensors(x, scaled=True)
    for name in x:
        assert torch.equal(found[name], expected[name])


def test_errors(tmp_path: Path, state: State, heads: dict[str, int]) -> None:
    """Each error names the file, what was expected and what was found."""
    torch.save({**state, "epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: .*found 'epoch': int"):
        load_imagebind(tmp_path / "w.pth", heads)
    with pytest.raises(UnknownNameError, match="did you mean 'vision'"):
        load_imagebind(state, {"visoin": 4})
    with pytest.raises(UnknownNameError, match="no modality named 'smell'"):
        load_imagebind(state, heads, modalities=["smell"])
    with pytest.raises(CheckpointError, match="16 heads don't divide a width of 24"):
        load_imagebind(state, {"audio": 16})
    some = {k: v for k, v in state.items() if ".audio." not in k}
    with pytest.raises(UnknownNameError, match="'audio'"):
        load_imagebind(some, heads, modalities=["audio", "text"])
    scale = "modality_postprocessors.audio.1.log_logit_scale"
    with pytest.raises(CheckpointError, match="logit scale of audio is missing"):
        load_imagebind({k: v for k, v in state.items() if k != scale}, heads)
    with pytest.raises(CheckpointError, match="stranger: "):
        load_imagebind({**state, "stranger": torch.zeros(1)}, heads, modalities=["text"])


def test_towers_of_other_dimensions(state: State, heads: dict[str, int]) -> None:
    """Towers of different dimensions are an error."""
    state = {k: v for k, v in state.items() if ".imu." in k or ".depth." in k}
    state["modality_heads.imu.3.weight"] = state["modality_heads.imu.3.weight"][:5].clone()
    with pytest.raises(CheckpointError, match="one dimension, found"):
        load_imagebind(state, heads)


def test_file_may_go(tmp_path: Path, state: State, heads: dict[str, int]) -> None:
    """A loaded space works after its file is deleted or replaced."""
    path = tmp_path / "mini.safetensors"
    save_file(state, path)
    space = load_imagebind(path, heads, modalities=["imu"])
    before = space.fingerprint
    other = tmp_path / "other"
    shutil.copy(GOLDEN, other)
    os.replace(other, path)
    assert space.fingerprint == before
