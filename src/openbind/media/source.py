"""Check sources before decoding: a readable path, or bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from openbind.errors import InputError


def open_source(source: Any) -> Path | io.BytesIO:
    """Check that a path or bytes can be read, and return a path or a stream for decoders.

    Raises:
        InputError: missing, a directory, empty, unreadable, or neither path nor bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        if not len(source):
            raise InputError(source, "empty: no bytes")
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise InputError(source, f"expected a path, bytes or an array, found {kind}")
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise InputError(source, "expected a file, found a directory")
        if not path.exists():
            raise InputError(source, "no such file")
        # A pipe or a device might never end.
        if not path.is_file():
            raise InputError(source, "not a regular file")
        if path.stat().st_size == 0:
            raise InputError(source, "empty file")
        with path.open("rb"):
            return path
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(source, f"can't be read ({error})") from error


def read_bytes(opened: Path | io.BytesIO) -> bytes:
    """Return the whole content of what `open_source` returned."""
    return opened.read_bytes() if isinstance(opened, Path) else opened.getvalue()


def read_head(opened: Path | io.BytesIO, count: int) -> bytes:
    """Return the first bytes, at most `count`, of what `open_source` returned."""
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            return file.read(count)
    return opened.getbuffer()[:count].tobytes()
