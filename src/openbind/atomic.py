"""Files that are either whole or not there: written under a temporary name, synced, renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Return a temporary path beside `target`; when the block ends well it becomes `target`.

    The directory is made if it is missing. When the block raises, the temporary file is removed
    and an older `target` stays as it was.

    Raises:
        OSError: the directory can't be made, or the disk is full.
    """
    final = Path(target)
    final.parent.mkdir(parents=True, exist_ok=True)
    # Named by hand, not by tempfile, so that the file gets the permissions an ordinary one would.
    temporary = final.with_name(f".{final.stem}.{secrets.token_hex(6)}{final.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
