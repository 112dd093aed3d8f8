"""Atomic files and folders: written under a temporary name, synced, then renamed.

A folder can't be replaced by one rename. Where the system can exchange two names (Linux), that is
one step; elsewhere the old folder is kept beside the new one in between, and `recover_folder`
returns it to its name if the process was killed there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
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


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new empty folder beside `target` that replaces it when the block succeeds.

    If the block raises, or the process is killed at any moment, `target` is the old folder or the
    new one. What killed processes left beside it is removed.

    Raises:
        BlockingIOError: another process is writing the same folder.
        OSError: it can't be written, or the disk is full.
    """
    from filelock import FileLock, Timeout

    final = Path(os.path.realpath(target))  # a link stays one
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(final, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"{target}: another process is writing it") from None
    try:
        recover_folder(final)
        _remove_leftovers(final)
        new = _beside(final, "new")
        new.mkdir()
        yield new
        _sync(new)
        _replace(new, final)
    finally:
        _remove_leftovers(final)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def recover_folder(target: Path) -> None:
    """Return a folder to its name, where a process was killed while it replaced the folder."""
    if target.name and not os.path.lexists(target) and _beside(target, "old").is_dir():
        _beside(target, "old").rename(target)


def _beside(final: Path, kind: str) -> Path:
    return final.with_name(f".{final.name}.openbind-{kind}")


def _remove_leftovers(final: Path) -> None:
    """Remove the temporary folders of a target; its lock is held."""
    for kind in ("new", "old"):
        shutil.rmtree(_beside(final, kind), ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in filter(Path.is_file, folder.iterdir()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _replace(new: Path, final: Path) -> None:
    if not final.exists():
        new.rename(final)
    elif not _exchange(new, final):
        old = _beside(final, "old")
        final.rename(old)
        new.rename(final)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; returns whether the system and its disk can."""
    if sys.platform != "linux":
        return False
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <linux/fs.h>
    if renameat2 is None:
        return False
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)
