"""Open files of tensors; only the tensors in use are read from disk."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from openbind.checkpoints.repository import read_inside, read_json
from openbind.errors import CheckpointError, first_line
from openbind.model.int8 import dequantize, is_fast

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # first bytes of PyTorch's files, new and old
_LFS = b"version https://git-lfs"
_ALIGNMENT = 64  # bytes: a cache line, and where PyTorch itself puts tensors
INDEX = ".index.json"
"""Extension of an index of shards: {"weight_map": {tensor: file beside it}}."""


class SafetensorsFile(Mapping[str, Tensor]):
    """Tensors of a safetensors file by name; each is memory-mapped on access."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: Any = safe_open(path, "pt")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(path, f"truncated or not a safetensors file: {error}") from error
        self._names = dict.fromkeys(list[str](self._file.keys()))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all tensors; only the header is read."""
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._names}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        found: Tensor = self._file.get_tensor(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class ShardedFile(Mapping[str, Tensor]):
    """Tensors of several files by name, from an index of shards."""

    def __init__(self, index: Path) -> None:
        found = read_json(index).get("weight_map")
        if not isinstance(found, dict) or not all(isinstance(f, str) for f in found.values()):
            raise CheckpointError(
                index, "expected an index of shards: a weight_map of tensors to files"
            )
        self._file_of: dict[str, str] = found
        self._index = index
        self._open: dict[str, Mapping[str, Tensor]] = {}

    def __getitem__(self, name: str) -> Tensor:
        file = self._file_of[name]
        if file not in self._open:
            self._open[file] = self._open_shard(file)
        if name not in self._open[file]:
            raise CheckpointError(self._index.parent / file, f"{name}: missing")
        return self._open[file][name]

    def _open_shard(self, file: str) -> Mapping[str, Tensor]:
        path = read_inside(self._index.parent, file)
        if path.name.endswith(INDEX):
            raise CheckpointError(self._index, f"expected a file of tensors, found {file!r}")
        return open_tensors(path)

    def __contains__(self, name: object) -> bool:
        return name in self._file_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def open_tensors(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    """Open a file of tensors, safetensors or PyTorch's format, whatever its extension.

    Args:
        path: the file, or an index of shards (`*.index.json`).

    Returns:
        name → tensor on the CPU. Tensors are memory-mapped: unused bytes are never read, and
        changing a tensor doesn't change the file.

    Raises:
        CheckpointError: no such file; truncated; of neither format; or with objects other than
            tensors, which are never unpickled.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(file, "no such file")
    if file.name.endswith(INDEX):
        return ShardedFile(file)
    kind = _kind_of(file)
    if kind == "safetensors":
        return SafetensorsFile(file)
    if kind == "torch":
        return _open_torch(file)
    raise CheckpointError(
        file,
        f"expected a directory with config.json, a safetensors file or a PyTorch file; {kind}",
    )


def move_tensor(
    tensor: Tensor,
    device: str | torch.device,
    dtype: torch.dtype,
    *,
    layout: torch.memory_format = torch.preserve_format,
    mapped: bool = True,
) -> Tensor:
    """Move a tensor to a device and precision, at an aligned address.

    A memory-mapped tensor may have any address, and oneDNN's matrix products round differently at
    unaligned ones: it is copied, so that equal weights give bit-equal results.

    Args:
        tensor: contiguous; integers keep their dtype.
        device, dtype, layout: of the result.
        mapped: the tensor is from `open_tensors` and not used elsewhere; a copied one is freed.
    """
    precision = dtype if tensor.is_floating_point() else None
    placed = tensor.to(device, precision, memory_format=layout)
    if placed is tensor and tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
        placed = tensor.clone()
    if mapped and placed is not tensor:
        free_mapped(tensor)
    return placed


def free_mapped(tensor: Tensor) -> None:
    """Free the memory of a tensor that is mapped from a file and was copied.

    Otherwise its pages stay in memory as long as any tensor of the file is in use: converting to
    half precision would take 1.5 times the file's size. On the next access the tensor is read from
    the file again. Has no effect on systems other than Linux.

    Args:
        tensor: contiguous, from `open_tensors`. A tensor in ordinary memory would lose its content.
    """
    if sys.platform != "linux":
        return
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        length = ctypes.c_size_t(end - start)
        _c_library().madvise(ctypes.c_void_p(start), length, mmap.MADV_DONTNEED)


@lru_cache(maxsize=1)
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _kind_of(path: Path) -> str:
    """Return a file's format by its first bytes: "safetensors", "torch", or a description."""
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith((_ZIP, _PICKLE)):
        return "torch"
    # A safetensors file begins with the length of a JSON header (8 bytes), then its brace.
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(_LFS):
        return "found a Git LFS pointer: `git lfs pull` fetches the file"
    return f"found a file that begins with {start[:16]!r}" if start else "found an empty file"


def _open_torch(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        zipped = file.read(4) == _ZIP
    if zipped and not zipfile.is_zipfile(path):
        raise CheckpointError(
            path, "truncated: a PyTorch file ends with a zip directory, which is missing"
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, explain_refusal(error)) from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(
            path, f"not readable as a PyTorch file: {first_line(error)}"
        ) from error
    return _only_tensors(path, found)


def explain_refusal(error: pickle.UnpicklingError) -> str:
    """Return which object isn't a tensor, without PyTorch's advice to unpickle it."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f", such as {named[1]}" if named else ""
    return f"expected tensors only, found other objects{what}; they were not unpickled"


def _only_tensors(path: Path, found: Any) -> dict[str, Tensor]:
    if not isinstance(found, Mapping):
        raise CheckpointError(
            path, f"expected a mapping of names to tensors, found a {type(found).__name__}"
        )
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                path, f"expected tensors only, found {name!r}: {type(value).__name__}"
            )
    return {name: value.detach() for name, value in found.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(path, f"truncated or not a safetensors file: {error}") from error


def load_weights(
    path: Path, tower: torch.nn.Module, device: str | torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    """Load a file's weights, whose shapes are those of a blank tower, into it.

    Linears that are quantized in the file become plain ones where no product in 8 bits is fast.

    Raises:
        CheckpointError: the file is damaged.
    """
    state = read_weights(path)
    blank = tower.state_dict()
    placed = {}
    for key, value in state.items():
        # Convolutions are faster with channels-last weights, where a tower uses them.
        last = value.ndim == 4 and blank[key].is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.preserve_format
        placed[key] = move_tensor(value, device, dtype, layout=layout)
    tower.load_state_dict(placed, assign=True)
    if not is_fast(device):
        dequantize(tower)
    return tower.eval().requires_grad_(False)


def describe_difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Say how a file's shapes differ from those that a config asks for."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [key for key in sorted(expected.keys() & found.keys()) if expected[key] != found[key]]
    parts = [f"the file doesn't match config.json ({len(expected)} tensors expected)"]
    if missing:
        parts.append(f"{len(missing)} missing, such as {missing[0]}")
    if extra:
        parts.append(f"{len(extra)} unknown, such as {extra[0]}")
    if wrong:
        key = wrong[0]
        parts.append(
            f"{len(wrong)} with a different shape, such as {key}: expected {expected[key]}, "
            f"found {found[key]}"
        )
    return "; ".join(parts)
