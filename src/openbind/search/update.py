"""Bring an index up to date with its folders: embed what is new, forget what is gone.

Files are taken for the same by the hash of their content. A run commits after every few files,
each file with all its rows or none; one that is killed leaves what it committed, and the next goes
on from there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from openbind.errors import InputError
from openbind.search.adhoc import Failure
from openbind.search.ann import build_ann
from openbind.search.metadata import read_content, stat_key_of
from openbind.search.rows import ScannedFile, describe, is_still, relabel, rows_of
from openbind.search.scan import FileEntry, scan_roots
from openbind.search.segments import Task, embed_tasks
from openbind.search.store import Store
from openbind.search.table import FileState, Row, one_of
from openbind.space.decoding import map_ahead
from openbind.space.space import Space

COMMIT_FILES = 64
"""Files of one modality that are embedded together and committed at once."""
COMMIT_SECONDS = 20.0
"""Longest time between two commits: what a killed run loses of a slow space's work."""
COMPACT_COMMITS = 200
"""Commits after which small pieces are joined during a long run."""


@dataclass
class Changes:
    """What an update did, in files.

    Attributes:
        embedded: new or changed.
        moved: new here, but of known content: moved or copied, with the vector that was there.
        removed: no longer in the folders, under another name neither.
        unchanged: the same as before, with other dates perhaps.
        postponed: changed while they were read; the next update takes them.
        failures: could not be used, with reasons; those known from earlier runs among them.
    """

    embedded: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    postponed: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def update(
    store: Store, space: Space, *, allow_empty: bool = False, progress: bool = False
) -> Changes:
    """Bring an index up to date with its folders.

    Args:
        store: of the index.
        space: the one that made it.
        allow_empty: believe that a root of which files are indexed has none now.
        progress: show a bar on stderr once the wait is longer than a second.

    Raises:
        InputError: another space, a root that isn't there or has lost all its files, or another
            process writes.
        OSError: the disk is full; what was committed stays.
    """
    store.check_space(space)
    with store.writing():
        run = _Run(store, space)
        found = list(scan_roots(store.meta, store.folder))
        if not allow_empty:
            run.check_roots(found)
        bar = tqdm(total=len(found), desc="indexing", unit="file", delay=1, disable=not progress)
        with bar:
            run.embed_new(found, bar.update)
        run.remove_gone(found)
        run.finish()
    return run.changes


class _Run:
    """One update, while it runs."""

    def __init__(self, store: Store, space: Space) -> None:
        self.store, self.space, self.table = store, space, store.table
        self.states = self.table.files()
        self.failed = self.table.failed_files()
        self.contents = {(state.hash, state.modality) for state in self.states.values()}
        self.moved: set[tuple[str, str]] = set()
        self.changes = Changes()
        self.waiting: dict[str, list[ScannedFile]] = {}
        self.relabels: list[ScannedFile] = []
        self.committed, self.commits = time.monotonic(), 0

    def check_roots(self, found: Sequence[FileEntry]) -> None:
        """See that no root has lost all its files: the place of a drive that isn't mounted.

        Raises:
            InputError: one has.
        """
        known = Counter(state.root for state in self.states.values())
        for root in self.store.meta.roots:
            if known[root.number] and not any(entry.root == root.number for entry in found):
                raise InputError(
                    root.path,
                    f"holds no file now, and {known[root.number]} of its files are indexed; mount "
                    "it if it isn't, or say that they are gone with `openbind index update "
                    "--allow-empty`",
                )

    def embed_new(self, found: Sequence[FileEntry], count: Callable[[int], object]) -> None:
        """Embed what is new or changed, a few files at a time; looking ahead runs in threads."""
        for entry, look in zip(found, map_ahead(self._look, found), strict=True):
            try:
                seen = look()
            except OSError as error:  # of the file; one of the index ends the run
                self.changes.failures.append(Failure(entry.path, error.strerror or str(error)))
            else:
                self._take(seen)
            count(1)
            if time.monotonic() - self.committed > COMMIT_SECONDS:
                self._flush()
        self._flush()

    def remove_gone(self, found: Sequence[FileEntry]) -> None:
        """Forget the files that are no longer in the folders."""
        here = {entry.key for entry in found}
        gone = [key for key in self.states if key not in here]
        self.table.remove([*gone, *(key for key in self.failed if key not in here)])
        left = [self.states[key] for key in gone]
        self.changes.removed = sum((s.hash, s.modality) not in self.moved for s in left)
        self.commits += bool(gone)

    def finish(self) -> None:
        """Join small pieces, and see to the approximate index."""
        if self.commits:
            self.table.compact()
        meta = self.store.meta
        ann = build_ann(self.table, meta.ann)
        if ann != meta.ann:
            self.store.write_meta(replace(meta, ann=ann))

    def _look(self, found: FileEntry) -> ScannedFile:
        """See whether a file is new or changed; runs in threads.

        Raises:
            OSError: it can't be read.
        """
        state = self._known(found)
        if state and state.stat_key and state.stat_key == stat_key_of(found.path.stat()):
            return ScannedFile(entry=found)
        content = read_content(found.path)
        same = state is not None and state.hash == content.hash
        if same or (content.hash, found.modality) in self.contents:
            return ScannedFile(entry=found, content=content)
        return describe(found, content)

    def _known(self, found: FileEntry) -> FileState | None:
        """What the table knows of a file, if it was read as what it is read as now."""
        state = self.states.get(found.key)
        if state is None and found.key in self.failed:
            state = self.failed[found.key][0]
        return state if state and state.modality == found.modality else None

    def _take(self, seen: ScannedFile) -> None:
        """Sort a file that was looked at."""
        found, content = seen.entry, seen.content
        state = self._known(found)
        same = state is not None and (content is None or content.hash == state.hash)
        if same and found.key in self.failed:
            self.changes.failures.append(Failure(found.path, self.failed[found.key][1]))
            return
        self.changes.unchanged += same
        if content is None:
            return
        if same or (content.hash, found.modality) in self.contents:
            self.relabels.append(seen)
            if len(self.relabels) >= COMMIT_FILES:
                self._commit_relabels()
            return
        group = self.waiting.setdefault(found.modality, [])
        group.append(seen)
        if len(group) >= COMMIT_FILES:
            self._commit_new(self.waiting.pop(found.modality))

    def _flush(self) -> None:
        self._commit_relabels()
        for modality in list(self.waiting):
            self._commit_new(self.waiting.pop(modality))

    def _commit_new(self, group: list[ScannedFile]) -> None:
        """Embed files of one modality and commit their rows."""
        modality = group[0].entry.modality
        tasks = [Task(path=seen.entry.path, spans=seen.spans) for seen in group]
        vectors, reasons = embed_tasks(self.space, modality, tasks)
        rows: list[Row] = []
        kept: list[np.ndarray] = []
        failures: list[tuple[FileState, str]] = []
        for place, seen in enumerate(group):
            if not is_still(seen):
                self.changes.postponed.append(seen.entry.path)
            elif place in reasons:
                failures.append((seen.entry.state(seen.hashed()), reasons[place]))
                self.changes.failures.append(Failure(seen.entry.path, reasons[place]))
            else:
                rows += rows_of(seen, len(vectors[place]))
                kept.append(vectors[place])
        self._write(rows, np.concatenate(kept) if kept else np.zeros((0, self.space.dim)), failures)
        self.changes.embedded += len(kept)

    def _write(
        self, rows: list[Row], vectors_KE: np.ndarray, failures: list[tuple[FileState, str]]
    ) -> None:
        """Commit rows of files that are new, then those of files that have others."""
        files = {row.file for row in rows}
        old = {file for file in files if file in self.states}
        fresh = [place for place, row in enumerate(rows) if row.file not in old]
        other = [place for place, row in enumerate(rows) if row.file in old]
        # A file that is in neither table, because the process was killed here, is only new again.
        self.table.forget_failures([file for file in files if file in self.failed])
        self.table.add([rows[place] for place in fresh], vectors_KE[fresh])
        if other:
            self.table.replace(old, [rows[place] for place in other], vectors_KE[other])
        self.table.remove_rows([s.file for s, _ in failures if s.file in self.states])
        self.table.note_failures(failures)
        self.contents |= {(row.hash, row.modality) for row in rows}
        self._committed()

    def _commit_relabels(self) -> None:
        """Return the vectors of known content to the files that have it now."""
        group, self.relabels = self.relabels, []
        if not group:
            return
        sources: dict[tuple[str, str], dict[str, list[tuple[Row, np.ndarray]]]] = {}
        hashes = {seen.hashed().hash for seen in group}
        for row, vector_E in zip(*self.table.read(one_of("hash", hashes)), strict=True):
            by_file = sources.setdefault((row.hash, row.modality), {})
            by_file.setdefault(row.file, []).append((row, vector_E))
        rows: list[Row] = []
        vectors: list[np.ndarray] = []
        for seen in group:
            found, content = seen.entry, seen.hashed()
            by_file = sources.get((content.hash, found.modality), {})
            if not by_file:
                # Its content was another file's, and that has other content by now.
                self.waiting.setdefault(found.modality, []).append(describe(found, content))
                continue
            segments = by_file.get(found.key) or next(iter(by_file.values()))
            rows += [relabel(row, seen) for row, _ in segments]
            vectors += [vector_E for _, vector_E in segments]
            known = self.states.get(found.key)
            if known is None or known.hash != content.hash:
                self.changes.moved += 1
                self.moved.add((content.hash, found.modality))
        if rows:
            self._write(rows, np.stack(vectors), [])

    def _committed(self) -> None:
        self.committed = time.monotonic()
        self.commits += 1
        if self.commits % COMPACT_COMMITS == 0:
            self.table.compact()
