"""Arrays, tensors and `.npy` files → NumPy arrays, without importing their libraries."""

from __future__ import annotations

import io
import threading
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import check_limit

NPY, NPZ = b"\x93NUMPY", b"PK\x03\x04"
"""Signatures of NumPy's files: one array, and a zip of several."""

BROKEN = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of NumPy on damaged files."""

COPIES = 3
"""Times the size of an unpacked array that reading it may take."""
_PARSING = threading.Lock()
"""NumPy parses headers with Python's parser, which isn't thread-safe before 3.12 (cpython issue
106905)."""


def is_tensor(value: Any) -> bool:
    """Return whether a value is a PyTorch tensor; its channels come first."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def is_array(value: Any) -> bool:
    """Return whether a value is an array or tensor of any library."""
    return is_tensor(value) or hasattr(value, "__array__")


def to_numpy(value: Any, item: Any) -> np.ndarray:
    """Return an array's values, without a copy where possible.

    Args:
        value: array, tensor on any device, or nested lists of numbers.
        item: named by errors.

    Raises:
        InputError: not numbers, or lists of unequal length.
    """
    try:
        if is_tensor(value):
            plain = value.detach().cpu()
            # NumPy has no bfloat16.
            value = (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()
        found = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(item, f"can't be read as an array ({error})") from error
    if found.dtype.kind not in "biuf":
        raise InputError(item, f"expected float or integer values, found {found.dtype}")
    return found


def looks_like_numpy(opened: Path | io.BytesIO) -> bool:
    """Return whether the first bytes are those of a `.npy` or `.npz` file."""
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            head = file.read(6)
    else:
        head = opened.getvalue()[:6]
    return head.startswith((NPY, NPZ))


def load_array(opened: Path | io.BytesIO, item: Any) -> np.ndarray:
    """Read a `.npy` file, or a `.npz` file of one array; pickles are refused.

    Args:
        opened: path or stream.
        item: named by errors.

    Raises:
        InputError: broken, truncated, not numbers, or several arrays.
    """
    try:
        with _PARSING:
            found = np.load(opened, allow_pickle=False)
            if isinstance(found, np.lib.npyio.NpzFile):
                with found:
                    _check_size(found.zip, item)
                    if len(found.files) != 1:
                        names = ", ".join(found.files) or "none"
                        raise InputError(item, f"expected one array, found {names}")
                    found = found[found.files[0]]
        return to_numpy(found, item)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(item, f"a broken or truncated NumPy file ({error})") from error


def _check_size(archive: zipfile.ZipFile | None, item: Any) -> None:
    """Check the uncompressed size of a zip of arrays, which reading can't exceed."""
    members = [] if archive is None else archive.infolist()
    size = sum(member.file_size for member in members)
    check_limit("bytes", COPIES * size, item, f"{size:,} uncompressed bytes")
