"""Verify an index: no row missing, duplicated, damaged or out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from openbind.embedding.scan import Summary
from openbind.search.columns import COLUMNS, DIGEST, vectors_of
from openbind.search.metadata import read_content
from openbind.search.scan import FileEntry, scan_roots
from openbind.search.store import Store
from openbind.search.table import digests_of
from openbind.space.decoding import map_ahead

IDENTIFYING = (
    "id",
    "file",
    "root",
    "path",
    "modality",
    "settings",
    "segment",
    "segments",
    "hash",
)
UNIT_ERROR = 1e-3
"""Largest error of a vector's norm: float32 rounding over thousands of dimensions."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a verification; all lists are empty for an index without errors.

    Args:
        files, rows: their numbers.
        summary: of all files in the folders. Those that can't be read (broken links, pipes, without
            permission), or failed to be embedded, are no errors of the index.
        doubled: ids of rows that exist more than once.
        damaged: files with missing or contradictory rows, broken vectors, or flipped bits.
        lost: files in the folders that are not indexed.
        stale: files whose content has changed since they were indexed.
        gone: indexed files that are no longer in the folders.
        unreadable: indexed files that can't be compared, because they or a folder above can't be
            read.
    """

    files: int
    rows: int
    summary: Summary
    doubled: tuple[str, ...]
    damaged: tuple[str, ...]
    lost: tuple[str, ...]
    stale: tuple[str, ...]
    gone: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Return whether the table is consistent, up to date or not."""
        return not self.doubled and not self.damaged

    @property
    def clean(self) -> bool:
        """Return whether the table is consistent and agrees with the files in the folders."""
        return self.sound and not (self.lost or self.stale or self.gone or self.unreadable)


@dataclass
class _File:
    """What the rows of one file say."""

    path: str
    root: int
    contents: set[tuple[str, tuple[str, str], int]]
    segments: list[int]
    broken: bool = False


def verify(store: Store, *, progress: bool = False) -> Report:
    """Compare every row with the content of its file, without changing anything.

    A file that changes meanwhile, or a concurrent update, shows as lost, stale or gone.

    Args:
        store: of the index.
        progress: show a progress bar on stderr if it takes longer than a second.

    Raises:
        InputError: a root of the index is missing.
    """
    meta = store.meta
    files, ids = _read_rows(store)
    failures = store.table.failed_files()
    scan = scan_roots(meta, store.folder)
    known = {key: {content[:2] for content in file.contents} for key, file in files.items()}
    failed = {key: state for key, (state, _) in failures.items() if key not in files}
    known.update({key: {(state.hash, state.kind)} for key, state in failed.items()})
    lost, stale = [], []
    unreadable = [str(entry.path) for entry in scan.blocked if entry.key in files]
    for entry, hashed in _hash_files(scan.files, progress):
        if hashed is None:
            unreadable.append(str(entry.path))
        elif entry.key not in known:
            lost.append(str(entry.path))
        elif known[entry.key] != {(hashed, entry.kind)}:
            stale.append(str(entry.path))
        elif entry.key in failed:
            scan.summary.note_failed(entry.modality, entry.path)
    roots = {root.number: root.path for root in meta.roots}

    def path_of(key: str) -> str:
        file = files[key]
        return str(roots[file.root] / file.path) if file.root in roots else file.path

    missing = files.keys() - {entry.key for entry in (*scan.files, *scan.blocked)}
    hidden = {key for key in missing if scan.hides(files[key].root, files[key].path)}
    return Report(
        files=len(files),
        rows=sum(ids.values()),
        summary=scan.summary,
        doubled=tuple(sorted(name for name, count in ids.items() if count > 1)),
        damaged=tuple(sorted(path_of(key) for key, file in files.items() if _is_damaged(file))),
        lost=tuple(sorted(lost)),
        stale=tuple(sorted(stale)),
        gone=tuple(sorted(path_of(key) for key in missing - hidden)),
        unreadable=tuple(sorted([*unreadable, *map(path_of, hidden)])),
    )


def repair(store: Store, report: Report) -> int:
    """Delete the rows of duplicated and damaged files; the next update embeds them again.

    Returns:
        number of files.

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
    """Return what rows say of their files, by key, and the count of each row id."""
    files: dict[str, _File] = {}
    ids: Counter[str] = Counter()
    for batch in store.table.batches([*COLUMNS, "vector", DIGEST]):
        norms = np.linalg.norm(vectors_of(batch.column("vector"), store.table.dim), axis=1)
        stored, rows = batch.column(DIGEST).to_pylist(), batch.select(IDENTIFYING).to_pylist()
        for row, norm, *digests in zip(rows, norms, stored, digests_of(batch), strict=True):
            ids[row["id"]] += 1
            file = files.setdefault(row["file"], _File(row["path"], row["root"], set(), []))
            kind = (row["modality"], row["settings"])
            file.contents.add((row["hash"], kind, row["segments"]))
            file.segments.append(row["segment"])
            # Written so that NaN counts as broken.
            file.broken |= not abs(norm - 1) < UNIT_ERROR
            file.broken |= digests[0] != digests[1]
            file.broken |= row["id"] != f"{row['file']}-{row['segment']}"
    return files, ids


def _is_damaged(file: _File) -> bool:
    """Return whether rows are missing or contradict each other; duplicates are found by id."""
    if file.broken or len(file.contents) != 1:
        return True
    ((_, _, segments),) = file.contents
    return set(file.segments) != set(range(segments))


def _hash_files(files: list[FileEntry], progress: bool) -> Iterator[tuple[FileEntry, str | None]]:
    """Yield files with their hash, computed in threads; None for one that can't be read."""

    def hash_of(entry: FileEntry) -> str | None:
        try:
            return read_content(entry.path).hash
        except OSError:
            return None

    bar = tqdm(
        zip(files, map_ahead(hash_of, files), strict=True),
        desc="verifying",
        total=len(files),
        unit="file",
        delay=1,
        disable=None if progress else True,
    )
    for entry, result in bar:
        yield entry, result()
