"""Files of tensors, opened so that only what is used is read from the disk."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from openbind.errors import CheckpointError

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # first bytes of PyTorch's files, new and old
_LFS = b"version https://git-lfs"
_ALIGNMENT = 64  # bytes: a cache line, and where PyTorch itself puts tensors
INDEX = ".index.json"
"""Extension of a table of shards: {"weight_map": {tensor: file beside it}}."""


class SafetensorsFile(Mapping[str, Tensor]):
    """Tensors of a safetensors file by name; each is mapped into memory when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: Any = safe_open(path, "pt")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(path, f"truncated or not a safetensors file: {error}") from error
        self._names = dict.fromkeys(list[str](self._file.keys()))

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
    """Tensors spread over several files, as a table of shards says."""

    def __init__(self, index: Path) -> None:
        try:
            self._places: dict[str, str] = dict(json.loads(index.read_text())["weight_map"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(index, f"not readable as a table of shards: {error}") from error
        self._index = index
        self._open: dict[str, Mapping[str, Tensor]] = {}

    def __getitem__(self, name: str) -> Tensor:
        file = Path(self._places[name]).name
        if file not in self._open:
            self._open[file] = open_tensors(self._index.parent / file)
        if name not in self._open[file]:
            raise CheckpointError(self._index.parent / file, f"{name}: missing")
        return self._open[file][name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def open_tensors(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    """Open a file of tensors, safetensors or PyTorch's own; its content tells which.

    Args:
        path: the file, or a table of shards (`*.index.json`).

    Returns:
        name → tensor on the CPU. Tensors are mapped from the file: bytes that nobody uses are
        never read, and changing a tensor doesn't change the file.

    Raises:
        CheckpointError: no such file; truncated; neither format; or it holds anything but
            tensors, which is never unpickled.
    """
    place = Path(path)
    if not place.is_file():
        raise CheckpointError(place, "no such file")
    if place.name.endswith(INDEX):
        return ShardedFile(place)
    kind = _kind_of(place)
    if kind == "safetensors":
        return SafetensorsFile(place)
    if kind == "torch":
        return _open_torch(place)
    raise CheckpointError(
        place,
        f"expected a directory with config.json, a safetensors file or a PyTorch file; {kind}",
    )


def place(
    tensor: Tensor, device: str | torch.device, dtype: torch.dtype, *, mapped: bool = True
) -> Tensor:
    """Put a tensor where it is computed with, in the precision that is computed in.

    A tensor mapped from a file may lie at any address. Matrix products of oneDNN round otherwise
    at odd ones, so it is copied from there: equal weights then give equal numbers bit-exactly.

    Args:
        tensor: contiguous; integers keep their type.
        device, dtype: where to, and in what.
        mapped: it is mapped by `open_tensors` and nobody else's; what is copied is given back.
    """
    placed = tensor.to(device, dtype if tensor.is_floating_point() else None)
    if placed is tensor and tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
        placed = tensor.clone()
    if mapped and placed is not tensor:
        forget(tensor)
    return placed


def forget(tensor: Tensor) -> None:
    """Return back the memory of a tensor that is mapped from a file and was copied elsewhere.

    Its pages would stay in this process's memory as long as any tensor of the file is used: a
    conversion to half precision would take the file's size and half of it again. Read again, a
    tensor comes from the file again. Only Linux has a call for it; elsewhere nothing happens.

    Args:
        tensor: contiguous, mapped by `open_tensors`. Of one in ordinary memory the content is lost.
    """
    if sys.platform != "linux":
        return
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _kind_of(path: Path) -> str:
    """Return a file's format by its first bytes: "safetensors", "torch", or what else was found."""
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith((_ZIP, _PICKLE)):
        return "torch"
    # A safetensors file opens with the length of a JSON header (8 bytes, then its brace).
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(_LFS):
        return "found a pointer of Git LFS: `git lfs pull` fetches the file itself"
    return f"found one that opens with {start[:16]!r}" if start else "found an empty file"


def _open_torch(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        zipped = file.read(4) == _ZIP
    if zipped and not zipfile.is_zipfile(path):
        raise CheckpointError(path, "truncated: the table at the end of a PyTorch file is missing")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, _refusal(str(error))) from error
    except Exception as error:  # a file that was cut or spoilt breaks the reader in any way
        first = str(error).partition("\n")[0]
        raise CheckpointError(path, f"not readable as a PyTorch file: {first}") from error
    return _only_tensors(path, found)


def _refusal(message: str) -> str:
    """Say what a file holds that isn't a tensor; PyTorch's advice to unpickle it is excluded."""
    named = re.search(r"GLOBAL ([\w.]+)", message)
    what = f", such as {named[1]}" if named else ""
    return f"expected tensors and nothing else, found other objects{what}; it was not unpickled"


def _only_tensors(path: Path, found: Any) -> dict[str, Tensor]:
    if not isinstance(found, Mapping):
        raise CheckpointError(path, f"expected names and tensors, found a {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                path, f"expected tensors and nothing else, found {name!r}: {type(value).__name__}"
            )
    return {name: value.detach() for name, value in found.items()}
