"""Files below folders: which there are, what they are read as, and what couldn't be looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbind.embedding.many import Entry, Failure
from openbind.errors import InputError
from openbind.modalities import modality_of_file, settle_modality


@dataclass(frozen=True)
class Scan:
    """The result of a scan.

    Args:
        entries: files to embed.
        others: number of files of other kinds.
        failures: folders that couldn't be read; what is in them is not known.
    """

    entries: tuple[Entry, ...]
    others: int
    failures: tuple[Failure, ...] = ()


def scan(paths: Iterable[str | os.PathLike[str]], modalities: Sequence[str]) -> Scan:
    """List the files below some folders that hold one of the modalities, by file extension.

    Hidden files and folders are skipped; links to folders are not followed.

    Args:
        paths: folders, searched through all their levels, or files.
        modalities: names; a file of another kind is only counted.

    Raises:
        InputError: a path doesn't exist, or a file given by name is of no known kind.
    """
    entries: dict[Path, Entry] = {}
    failures: list[Failure] = []
    others = 0
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise InputError(given, "no such file or folder")
        if path.is_file() and modality_of_file(path, modalities) is None:
            known = ", ".join(modalities)
            raise InputError(
                given, f"unsupported file extension {path.suffix!r}; expected one of {known}"
            )
        for file in [path] if path.is_file() else walk_files(path, failures.append):
            modality = settle_modality(file, modality_of_file(file, modalities), modalities)
            if modality is None:
                others += 1
            else:
                entries.setdefault(file, Entry(modality, file))
    return Scan(tuple(entries.values()), others, tuple(failures))


def walk_files(
    folder: Path, on_failure: Callable[[Failure], object], *, follow_links: bool = False
) -> Iterator[Path]:
    """List the files below a folder in order, without hidden ones.

    Args:
        folder: where to start.
        on_failure: called for each folder that can't be read, with its path and the reason.
        follow_links: enter links to folders, each folder once.
    """

    def failed(error: OSError) -> None:
        reason = f"folder can't be read ({error.strerror or error})"
        on_failure(Failure(Path(error.filename or folder), reason))

    entered: set[tuple[int, int]] = set()
    _is_new(folder, entered)
    for root, folders, names in os.walk(folder, onerror=failed, followlinks=follow_links):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if follow_links:
            folders[:] = [name for name in folders if _is_new(Path(root, name), entered)]
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _is_new(folder: Path, entered: set[tuple[int, int]]) -> bool:
    """Note a folder; False if it was entered before by another way."""
    try:
        status = folder.stat()
    except OSError:
        return True  # the walk reports it
    key = (status.st_dev, status.st_ino)
    if key in entered:
        return False
    entered.add(key)
    return True
