"""Folders and what their names say: `<split>/<class>/…`, both optional."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openbind.data.pairs import SPLITS, name_split
from openbind.errors import InputError


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with files.

    Args:
        path: of the folder.
        relative: from the folder that was searched, with slashes; "" is that folder itself.
        split: what its first level says, if that is the name of a split.
        label: the levels below, with slashes.
    """

    path: str
    relative: str
    split: str | None
    label: str | None


def locate(root: Path, given: str) -> Path:
    """Find a path of a config: relative ones start from the data folder."""
    return root / Path(given).expanduser()


def walk_files(folder: Path, takes: Callable[[str], bool]) -> Iterator[tuple[Place, str]]:
    """List files below a folder in sorted order; hidden files and folders are passed over.

    Links to folders are followed, but for those that lead back up.

    Args:
        folder: searched through all its levels.
        takes: tells by its name whether a file is wanted.

    Yields:
        the place and the name of each file.

    Raises:
        InputError: no such folder, or one that can't be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise InputError(
            folder, f"expected a folder, found {found}; relative paths start from the data folder"
        )
    for path, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _leads_up(path, n))
        wanted = sorted(name for name in names if not name.startswith(".") and takes(name))
        if wanted:
            place = _read_place(path, folder)
            yield from ((place, name) for name in wanted)


def _read_place(path: str, folder: Path) -> Place:
    parts = Path(path).relative_to(folder).parts
    split = name_split(parts[0]) if parts and parts[0].lower() in SPLITS else None
    classes = parts[1:] if split else parts
    return Place(path, "/".join(parts), split, "/".join(classes) or None)


def _leads_up(path: str, name: str) -> bool:
    link = os.path.join(path, name)
    return os.path.islink(link) and Path(os.path.realpath(path)).is_relative_to(
        os.path.realpath(link)
    )


def _refuse(error: OSError) -> None:
    raise InputError(error.filename, f"can't be read ({error.strerror})") from error
