"""Atomic files: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target` that replaces it when the block succeeds.

    The directory is created if missing. If the block raises, the temporary file is removed and an
    existing `target` is unchanged.

    Raises:
        OSError: the directory can't be created, or the disk is full.
    """
    final = Path(target)
    final.parent.mkdir(parents=True, exist_ok=True)
    # tempfile would create a file that only its owner may read.
    temporary = final.with_name(f".{final.stem}.{secrets.token_hex(6)}{final.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
