"""Folder trees whose levels are splits and classes: `<split>/<class>/…`, both optional."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openbind.data.pairs import SPLITS, Row, name_split
from openbind.embedding.items import StoredFeatures, StoredVector
from openbind.errors import InputError

CHECKED_ROWS = 20
"""Rows whose files must exist before the rest is read, so that a wrong data folder fails early."""


@dataclass(frozen=True, slots=True)
class Subfolder:
    """A folder with files.

    Args:
        path: of the folder.
        relative: path from the searched root, with slashes; "" is the root itself.
        split: the first level, if it is the name of a split.
        label: the remaining levels, with slashes.
    """

    path: str
    relative: str
    split: str | None
    label: str | None


def locate(root: Path, given: str) -> Path:
    """Resolve a path of a recipe; relative ones start from the data folder."""
    return root / Path(given).expanduser()


def walk_files(folder: Path, accepts: Callable[[str], bool]) -> Iterator[tuple[Subfolder, str]]:
    """List files below a folder in sorted order, skipping hidden files and folders.

    Links to folders are followed, except those that point to a parent.

    Args:
        folder: searched recursively.
        accepts: predicate on a file's name.

    Yields:
        (folder, name) of each file.

    Raises:
        InputError: the folder doesn't exist, or any folder can't be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise InputError(
            folder, f"expected a folder, found {found}; relative paths start from the data folder"
        )
    for path, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _is_loop(path, n))
        wanted = sorted(name for name in names if not name.startswith(".") and accepts(name))
        if wanted:
            parent = _parse_levels(path, folder)
            yield from ((parent, name) for name in wanted)


def tree_state(folder: Path, accepts: Callable[[str], bool]) -> str:
    """Hash names, sizes and times of the files that `walk_files` lists.

    Raises:
        InputError: see `walk_files`.
    """
    digest = hashlib.blake2b(digest_size=16)
    for parent, name in walk_files(folder, accepts):
        size, changed = file_state(os.path.join(parent.path, name))
        text = f"{parent.relative}/{name}\0{size}\0{changed}\0"
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def file_state(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return a file's size and when it was changed, in nanoseconds; (0, 0) if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def check_files(rows: Iterable[Row], root: Path) -> None:
    """Check that the files of some rows exist.

    Raises:
        InputError: one doesn't.
    """
    for row in rows:
        for item in (item for items in row.items.values() for item in items):
            stored = item.vector if isinstance(item, StoredFeatures) else item
            path = stored.path if isinstance(stored, StoredVector) else stored
            if isinstance(path, Path) and not _exists(path):
                raise InputError(path, f"no such file; relative paths start from {root}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that the system doesn't allow
        return False


def _parse_levels(path: str, folder: Path) -> Subfolder:
    parts = Path(path).relative_to(folder).parts
    split = name_split(parts[0]) if parts and parts[0].lower() in SPLITS else None
    classes = parts[1:] if split else parts
    return Subfolder(path, "/".join(parts), split, "/".join(classes) or None)


def _is_loop(path: str, name: str) -> bool:
    link = os.path.join(path, name)
    return os.path.islink(link) and Path(os.path.realpath(path)).is_relative_to(
        os.path.realpath(link)
    )


def _refuse(error: OSError) -> None:
    raise InputError(error.filename, f"can't be read ({error.strerror})") from error
