"""Files in folders, embedded: which there are, their vectors, and which could not be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from openbind.embedding.cache import VectorCache
from openbind.embedding.files import embed_paths
from openbind.errors import InputError
from openbind.modalities import modality_of_file
from openbind.space.space import Space

CHUNK_FILES = 64
"""Files embedded between two writes to the cache: what a killed run loses at most."""


@dataclass(frozen=True)
class Entry:
    """A file and the modality it is read as."""

    path: Path
    modality: str


@dataclass(frozen=True)
class Failure:
    """A file that could not be embedded, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a scan found: files to embed, and the number of files of other kinds."""

    entries: tuple[Entry, ...]
    others: int


@dataclass
class Library:
    """Embedded files: row i of `vectors_KE` belongs to `entries[i]`."""

    entries: list[Entry] = field(default_factory=list)
    vectors_KE: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    failures: list[Failure] = field(default_factory=list)


def scan(places: Iterable[str | os.PathLike[str]], modalities: Sequence[str]) -> Listing:
    """List the files below some folders that hold one of the modalities, by their extensions.

    Hidden files and folders are passed over; links to folders are not followed.

    Args:
        places: folders, searched through all their levels, or files.
        modalities: names; a file of another kind is counted only.

    Raises:
        InputError: a place doesn't exist, or a file given by name is of no known kind.
    """
    entries: dict[Path, Entry] = {}
    others = 0
    for given in places:
        place = Path(given).expanduser()
        if not place.exists():
            raise InputError(given, "no such file or folder")
        if place.is_file() and modality_of_file(place, modalities) is None:
            raise InputError(
                given, f"its extension {place.suffix!r} belongs to none of {', '.join(modalities)}"
            )
        for path in [place] if place.is_file() else walk_files(place):
            modality = modality_of_file(path, modalities)
            if modality is None:
                others += 1
            else:
                entries.setdefault(path, Entry(path, modality))
    return Listing(tuple(entries.values()), others)


def embed_files(
    space: Space, entries: Sequence[Entry], cache: VectorCache | None, progress: bool = False
) -> Library:
    """Embed files, those that the cache knows without opening the model.

    Args:
        space: embeds the others.
        entries: from `scan`.
        cache: vectors of earlier runs, added to after every few files; None does without.
        progress: show a bar on stderr once the wait is longer than a second.

    Returns:
        the files that could be embedded, in the order given, and those that could not.
    """
    vectors: dict[int, np.ndarray] = {}
    failures: dict[int, Failure] = {}
    bar = tqdm(total=len(entries), desc="embedding", unit="file", delay=1, disable=not progress)
    with bar:
        for start in range(0, len(entries), CHUNK_FILES):
            chunk = range(start, min(start + CHUNK_FILES, len(entries)))
            _embed_chunk(space, {i: entries[i] for i in chunk}, cache, vectors, failures)
            bar.update(len(chunk))
    kept = sorted(vectors)
    return Library(
        [entries[i] for i in kept],
        np.stack([vectors[i] for i in kept]) if kept else np.zeros((0, space.dim), np.float32),
        [failures[i] for i in sorted(failures)],
    )


def walk_files(folder: Path) -> Iterable[Path]:
    """List the files below a folder, in order; hidden ones and links to folders are excluded."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _embed_chunk(
    space: Space,
    entries: dict[int, Entry],
    cache: VectorCache | None,
    vectors: dict[int, np.ndarray],
    failures: dict[int, Failure],
) -> None:
    """Fill in `vectors` and `failures` for a few files."""
    for modality in sorted({entry.modality for entry in entries.values()}):
        places = [index for index, entry in entries.items() if entry.modality == modality]
        paths = [entries[index].path for index in places]
        rows_NE, reasons = embed_paths(space, modality, paths, cache)
        for at, index in enumerate(places):
            if at in reasons:
                failures[index] = Failure(paths[at], reasons[at])
            else:
                vectors[index] = rows_NE[at]
