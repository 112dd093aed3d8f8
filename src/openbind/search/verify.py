"""Prove that an index holds what its folders hold: no row lost, doubled, broken or out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from openbind.search.metadata import read_content
from openbind.search.scan import FileEntry, scan_roots
from openbind.search.store import Store
from openbind.search.table import vectors_of
from openbind.space.decoding import map_ahead

UNIT_ERROR = 1e-3
"""How far a vector's length may be from 1: float32's rounding over some thousand dimensions."""
CHECKED = ("id", "file", "root", "path", "modality", "segment", "segments", "hash", "vector")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is wrong with an index; nothing is if all lists are empty.

    Args:
        files, rows: how many there are.
        doubled: rows that are there more than once.
        damaged: files whose rows aren't all there, don't agree, or have broken vectors.
        lost: files in the folders that the index doesn't know.
        stale: files whose content is another than that which was embedded.
        gone: indexed files that aren't in the folders.
    """

    files: int
    rows: int
    doubled: tuple[str, ...]
    damaged: tuple[str, ...]
    lost: tuple[str, ...]
    stale: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Return whether the table itself is whole, out of date or not."""
        return not self.doubled and not self.damaged

    @property
    def clean(self) -> bool:
        """Return whether it is whole and holds just what the folders hold now."""
        return self.sound and not (self.lost or self.stale or self.gone)


@dataclass
class _File:
    """What the rows of one file say."""

    path: str
    root: int
    contents: set[tuple[str, str, int]]
    segments: list[int]
    broken: bool = False


def verify(store: Store, *, progress: bool = False) -> Report:
    """Read every row and hash every file, and compare; nothing is changed.

    A file that changes meanwhile, or an update that runs, shows as lost, stale or gone.

    Args:
        store: of the index.
        progress: show a bar on stderr once the wait is longer than a second.

    Raises:
        InputError: a root of the index isn't there.
    """
    meta = store.meta
    files, ids = _read_rows(store)
    failed = store.table.failed_files()
    found = {entry.key: entry for entry in scan_roots(meta, store.folder)}
    known = {key: file.contents for key, file in files.items()}
    known.update({k: {(s.hash, s.modality, 0)} for k, (s, _) in failed.items() if k not in files})
    lost, stale = [], []
    for entry, hashed in _hashes(list(found.values()), progress):
        if entry.key not in known:
            lost.append(str(entry.path))
        elif {(hash_, kind) for hash_, kind, _ in known[entry.key]} != {(hashed, entry.modality)}:
            stale.append(str(entry.path))
    roots = {root.number: root.path for root in meta.roots}

    def named(key: str) -> str:
        file = files[key]
        return str(roots.get(file.root, Path(f"root {file.root}")) / file.path)

    return Report(
        files=len(files),
        rows=sum(ids.values()),
        doubled=tuple(sorted(name for name, count in ids.items() if count > 1)),
        damaged=tuple(sorted(named(key) for key, file in files.items() if _is_damaged(file))),
        lost=tuple(sorted(lost)),
        stale=tuple(sorted(stale)),
        gone=tuple(sorted(named(key) for key in files if key not in found)),
    )


def repair(store: Store, report: Report) -> int:
    """Take the rows of doubled and damaged files out; the next update embeds them again.

    Returns:
        how many files.

    Raises:
        InputError: another process writes.
    """
    if report.sound:
        return 0
    with store.writing():
        files, ids = _read_rows(store)
        doubled = {name.rpartition("-")[0] for name, count in ids.items() if count > 1}
        chosen = sorted(doubled | {key for key, file in files.items() if _is_damaged(file)})
        store.table.remove(chosen)
    return len(chosen)


def _read_rows(store: Store) -> tuple[dict[str, _File], Counter[str]]:
    """Read what rows say of their files, and how often each id is there."""
    files: dict[str, _File] = {}
    ids: Counter[str] = Counter()
    for batch in store.table.batches(CHECKED):
        vectors_KE = vectors_of(batch.column("vector"), store.table.dim)
        lengths = np.linalg.norm(vectors_KE, axis=1)
        columns = {name: batch.column(name).to_pylist() for name in CHECKED[:-1]}
        for place, length in enumerate(lengths):
            row: dict[str, Any] = {name: values[place] for name, values in columns.items()}
            ids[row["id"]] += 1
            file = files.setdefault(row["file"], _File(row["path"], row["root"], set(), []))
            file.contents.add((row["hash"], row["modality"], row["segments"]))
            file.segments.append(row["segment"])
            # NaN isn't near 1 either.
            file.broken |= not abs(length - 1) < UNIT_ERROR
            file.broken |= row["id"] != f"{row['file']}-{row['segment']}"
    return files, ids


def _is_damaged(file: _File) -> bool:
    """Return whether rows are missing or don't agree; doubled ones are told apart."""
    if file.broken or len(file.contents) != 1:
        return True
    ((_, _, segments),) = file.contents
    return set(file.segments) != set(range(segments))


def _hashes(found: list[FileEntry], progress: bool) -> Iterator[tuple[FileEntry, str]]:
    """Hash files in threads; "" stands for one that can't be read."""

    def hash_of(entry: FileEntry) -> str:
        try:
            return read_content(entry.path).hash
        except OSError:
            return ""

    looks = map_ahead(hash_of, found)
    bar = tqdm(
        zip(found, looks, strict=True),
        desc="verifying",
        total=len(found),
        unit="file",
        delay=1,
        disable=not progress,
    )
    for entry, look in bar:
        yield entry, look()
