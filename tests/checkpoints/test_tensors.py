"""Files of tensors are detected by content, read lazily, and refused with other objects."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from openbind.checkpoints.tensors import free_mapped, move_tensor, open_tensors
from openbind.errors import CheckpointError

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(2.5)}


class Anything:
    """An object that isn't a tensor."""


class Command:
    """An object that would run a command on unpickling."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def write(path: Path, kind: str) -> Path:
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_formats(tmp_path: Path, kind: str) -> None:
    """Both formats give the same tensors, whatever the file's name."""
    found = open_tensors(write(tmp_path / "weights.bin", kind))
    assert set(found) == set(STATE)
    assert len(found) == 2
    assert "c" not in found
    for name, value in STATE.items():
        assert torch.equal(found[name], value)
    with pytest.raises(KeyError):
        found["c"]


@pytest.mark.parametrize("kind", ["safetensors", "zip"])
def test_changes_stay_in_memory(tmp_path: Path, kind: str) -> None:
    """Changing a tensor doesn't change its file."""
    path = write(tmp_path / "weights", kind)
    before = path.read_bytes()
    open_tensors(path)["a.weight"].fill_(7)
    assert path.read_bytes() == before
    assert torch.equal(open_tensors(path)["a.weight"], STATE["a.weight"])


def test_shards(tmp_path: Path) -> None:
    """An index of shards reads as one file; a shard is opened on first use."""
    save_file({"a.weight": STATE["a.weight"]}, tmp_path / "1.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    files = {"a.weight": "1.safetensors", "b": "2.safetensors"}
    index.write_text(json.dumps({"weight_map": files}))
    found = open_tensors(index)
    assert list(found) == list(STATE)
    assert torch.equal(found["a.weight"], STATE["a.weight"])
    with pytest.raises(CheckpointError, match=r"2\.safetensors: no such file"):
        found["b"]
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="index of shards"):
        open_tensors(index)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"epoch": 3}, "found 'epoch': int"),
        ({"state_dict": {"a": torch.zeros(1)}}, "found 'state_dict': dict"),
        ({"x": Anything()}, "Anything; .*not unpickled"),
    ],
)
def test_anything_but_tensors(tmp_path: Path, extra: dict[str, object], message: str) -> None:
    """Numbers, nested mappings and objects are refused; the error names them."""
    torch.save({**STATE, **extra}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_commands_are_not_run(tmp_path: Path, legacy: bool) -> None:
    """A malicious file is refused, and its command isn't run."""
    value = {"x": Command(tmp_path / "ran")}
    if legacy:
        (tmp_path / "w.pth").write_bytes(pickle.dumps(value, protocol=2))
    else:
        torch.save(value, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"not unpickled|not readable") as caught:
        open_tensors(tmp_path / "w.pth")
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_not_a_mapping(tmp_path: Path) -> None:
    """A single tensor without a name is refused."""
    torch.save(torch.zeros(3), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="found a Tensor"):
        open_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_truncated(tmp_path: Path, kind: str, fraction: float) -> None:
    """The error names a truncated file, wherever it was cut."""
    path = write(tmp_path / "w.pth", kind)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    with pytest.raises(CheckpointError, match=r"w\.pth: (truncated|not readable)"):
        open_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"<!DOCTYPE html><html>", "b'<!DOCTYPE html><"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    """Other files are described by their first bytes."""
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["safetensors", "zip"])
def test_freed(tmp_path: Path, kind: str) -> None:
    """A freed tensor is read from the file again; its neighbors are unchanged."""
    big = torch.arange(100_000.0)
    state = {"a": big, "b": big + 1, "c": big + 2}
    path = tmp_path / "w"
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    found = {name: open_tensors(path)[name] for name in state}
    found["c"].add_(5)
    free_mapped(found["b"])
    assert torch.equal(found["b"], big + 1)
    assert torch.equal(found["c"], big + 7)
    assert torch.equal(found["a"], big)


def test_moved(tmp_path: Path) -> None:
    """At an aligned address, in the given precision; integers stay integers."""
    state = {"a": torch.arange(5.0), "b": torch.arange(9.0), "n": torch.arange(3)}
    save_file(state, tmp_path / "w")
    found = open_tensors(tmp_path / "w")
    for name, value in state.items():
        whole = move_tensor(found[name], "cpu", torch.float32)
        assert torch.equal(whole, value)
        assert whole.data_ptr() % 64 == 0
        half = move_tensor(found[name], "cpu", torch.float16)
        assert half.dtype == (torch.float16 if value.is_floating_point() else torch.int64)
    mine = torch.arange(100_000.0)
    assert move_tensor(mine, "cpu", torch.float32, mapped=False) is mine
    move_tensor(mine, "cpu", torch.float16, mapped=False)
    assert torch.equal(mine, torch.arange(100_000.0))


def test_missing(tmp_path: Path) -> None:
    """A missing file is an error."""
    with pytest.raises(CheckpointError, match="no such file"):
        open_tensors(tmp_path / "w.pth")
