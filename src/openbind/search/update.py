"""Update an index: embed new and changed files, delete the rows of files that are gone.

Files are identified by the hash of their content. A run commits after every few files, each with
all its rows or none, so a run that is killed keeps what it committed and the next one continues.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openbind.embedding.items import item_name
from openbind.embedding.many import ComputeOptions, Embedded, Entry, Failure, embed_many
from openbind.embedding.progress import ItemBar, open_bar
from openbind.embedding.scan import CHANGED, Summary
from openbind.errors import InputError
from openbind.search.ann import build_ann
from openbind.search.columns import FileState, Row
from openbind.search.metadata import read_content, stat_key_of
from openbind.search.rows import ScannedFile, describe, is_unchanged, relabel, rows_of
from openbind.search.scan import FileEntry, RootScan, scan_roots
from openbind.search.snapshot import write_snapshot
from openbind.search.store import Store
from openbind.search.table import one_of
from openbind.search.unrelated import write_unrelated
from openbind.space.decoding import map_ahead
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

COMMIT_FILES = 64
"""Files committed together."""
COMMIT_SECONDS = 20.0
"""Longest time between two commits: what a killed run loses with a slow space."""
COMPACT_COMMITS = 200
"""Commits after which fragments are merged during a long run."""
Known = tuple[str, tuple[str, str]]
"""What decides the vectors of a file: the hash of its content; its modality and settings."""


@dataclass
class Changes:
    """The result of an update, in files.

    Attributes:
        embedded: new or changed.
        moved: new paths of the content of files that are gone, which keep its vectors.
        copied: new paths of the content of files that stay.
        removed: deleted from the folders, and not moved.
        unchanged: same content, possibly with another modification time.
        postponed: changed while they were read; left to the next update.
        failures: files that can't be embedded and folders that can't be read, with reasons,
            including files known from earlier runs.
        summary: what became of all files in the folders.
    """

    embedded: int = 0
    moved: int = 0
    copied: int = 0
    removed: int = 0
    unchanged: int = 0
    postponed: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)


def update(
    store: Store,
    space: Space,
    *,
    allow_empty: bool = False,
    progress: bool = False,
    report: Callable[[int, int], None] | None = None,
    **options: Unpack[ComputeOptions],
) -> Changes:
    """Update an index.

    Args:
        store: of the index.
        space: the one that the index was created with.
        allow_empty: delete rows even if a root now has no files.
        progress: show a progress bar on stderr if it takes longer than a second.
        report: called after each file with the number of files done and of all; what it raises
            ends the run, and committed rows are kept.
        options: `batch_size`, `workers` and `device` as in `ComputeOptions`.

    Raises:
        InputError: another space, a root that is missing or has no files any more, or another
            process writes.
        OSError: the disk is full; committed rows are kept.
    """
    store.check_space(space, complete=True)
    with store.writing():
        run = _Run(store, space, options)
        scan = scan_roots(store.meta, store.folder)
        run.changes.summary = scan.summary
        run.report = (lambda done: report(done, len(scan.files))) if report else None
        if not allow_empty:
            run.check_roots(scan)
        with open_bar(scan.files, "indexing", "file", shown=progress) as bar:
            run.embed_new(scan.files, bar)
        run.remove_gone(scan)
        run.finish()
    return run.changes


class _Run:
    """The state of a running update.

    Attributes:
        states, failed: what the table has of files and failures, by key.
        contents: content that has vectors → keys of the files that have it now, in order.
        taken: known content → number of new paths that have it in this run.
        done: files embedded and not committed; relabels: files that take known vectors;
            orphans: files whose known vectors turned out to be deleted.
        report: called with the number of files done, `counted`.
    """

    def __init__(self, store: Store, space: Space, options: ComputeOptions) -> None:
        self.store, self.space, self.options = store, space, options
        self.table = store.table
        self.states = self.table.files()
        self.failed = self.table.failed_files()
        self.contents: dict[Known, dict[str, None]] = {}
        for state in self.states.values():
            self.contents.setdefault((state.hash, state.kind), {})[state.file] = None
        self.taken: Counter[Known] = Counter()
        self.changes = Changes()
        self.done: list[tuple[ScannedFile, Embedded]] = []
        self.relabels: list[ScannedFile] = []
        self.orphans: list[ScannedFile] = []
        self.committed, self.commits = time.monotonic(), 0
        self.report: Callable[[int], None] | None = None
        self.counted = 0

    def check_roots(self, scan: RootScan) -> None:
        """Check that no root has lost all its files, as the mount point of a missing drive has.

        Raises:
            InputError: one has.
        """
        known = Counter(state.root for state in self.states.values())
        present = {entry.root for entry in (*scan.files, *scan.blocked)}
        present |= {number for number, _ in scan.hidden}
        for root in self.store.meta.roots:
            if known[root.number] and root.number not in present:
                raise InputError(
                    root.path,
                    f"has no files now, but {known[root.number]} are indexed; mount it if it isn't "
                    "mounted, or delete their rows with `openbind index update --allow-empty`",
                )

    def embed_new(self, files: Sequence[FileEntry], bar: ItemBar) -> None:
        """Embed new and changed files; hashing and decoding run ahead in threads."""
        # One modality at a time: batches have clips of one shape.
        ordered = sorted(files, key=lambda entry: entry.kind)
        self._embed(self._find_new(ordered, bar), bar)
        while self.orphans:
            orphans, self.orphans = self.orphans, []
            self._embed(orphans, bar)

    def remove_gone(self, scan: RootScan) -> None:
        """Delete the rows of files that are gone, but not below folders that can't be read."""
        here = {entry.key for entry in (*scan.files, *scan.blocked)}

        def is_gone(state: FileState) -> bool:
            return state.file not in here and not scan.hides(state.root, state.path)

        gone = [state for state in self.states.values() if is_gone(state)]
        failed = [state for state, _ in self.failed.values() if is_gone(state)]
        self.table.remove([state.file for state in (*gone, *failed)])
        left = Counter((state.hash, state.kind) for state in gone)
        self.changes.moved = (left & self.taken).total()
        self.changes.removed = left.total() - self.changes.moved
        self.changes.copied = self.taken.total() - self.changes.moved
        self.changes.failures += scan.failures
        self.commits += bool(gone)

    def finish(self) -> None:
        """Merge fragments, train the approximate index if it is due, keep summary and snapshot."""
        if self.commits:
            self.table.compact()
        meta = self.store.meta
        ann = build_ann(self.table, meta.ann)
        described = replace(meta, ann=ann, summary=self.changes.summary)
        if described != meta:
            self.store.write_meta(described)
        write_unrelated(self.store)
        write_snapshot(self.store, self.space)

    def _embed(self, new: Iterable[ScannedFile], bar: ItemBar) -> None:
        waiting: deque[ScannedFile] = deque()

        def entries() -> Iterator[Entry]:
            for scanned in new:
                waiting.append(scanned)
                entry = scanned.entry
                yield Entry(entry.modality, entry.path, scanned.views, entry.settings)

        def show(entry: Entry, seconds: float) -> None:
            bar.show_seconds(item_name(entry.item), seconds)

        for row in embed_many(
            self.space, entries(), on_decoded=show, thumbnails=True, **self.options
        ):
            self.done.append((waiting.popleft(), row))
            bar.count(row.entry)
            self._count_file()
        self._commit()

    def _find_new(self, files: Sequence[FileEntry], bar: ItemBar) -> Iterator[ScannedFile]:
        """Yield the files to embed, and note all others."""
        for entry, result in zip(files, map_ahead(self._compare, files), strict=True):
            try:
                scanned = result()
            except OSError as error:  # of the file; an error of the index ends the run
                self._note_failure(entry, error.strerror or str(error))
                scanned = None
            if scanned is not None and self._is_new(scanned):
                yield scanned
                continue
            bar.count(entry)
            self._count_file()

    def _compare(self, entry: FileEntry) -> ScannedFile:
        """Compare a file with the index; runs in threads.

        Raises:
            OSError: it can't be read.
        """
        state = self._known(entry)
        if state and state.stat_key and state.stat_key == stat_key_of(entry.path.stat()):
            return ScannedFile(entry=entry)
        content = read_content(entry.path)
        same = state is not None and state.hash == content.hash
        if same or self.contents.get((content.hash, entry.kind)):
            return ScannedFile(entry=entry, content=content)
        with self.space.limits.applied():
            return describe(entry, content)

    def _known(self, entry: FileEntry) -> FileState | None:
        """Return the state of a file in the table, if it is read in the same way there."""
        state = self.states.get(entry.key)
        if state is None and entry.key in self.failed:
            state = self.failed[entry.key][0]
        return state if state and state.kind == entry.kind else None

    def _note_failure(self, entry: FileEntry, reason: str) -> None:
        self.changes.failures.append(Failure(entry.path, reason))
        self.changes.summary.note_failed(entry.modality, entry.path)

    def _is_new(self, scanned: ScannedFile) -> bool:
        """Return whether a file has to be embedded; note it otherwise."""
        entry, content = scanned.entry, scanned.content
        known = self._known(entry)
        same = known is not None and (content is None or known.hash == content.hash)
        if same and entry.key not in self.states:
            self._note_failure(entry, self.failed[entry.key][1])
            return False
        self.changes.unchanged += same
        if content is None:
            return False
        if same or self.contents.get((content.hash, entry.kind)):
            self.relabels.append(scanned)
            return False
        return True

    def _count_file(self) -> None:
        """Commit if it is due, and report that another file is done."""
        self._commit_if_due()
        self.counted += 1
        if self.report is not None:
            self.report(self.counted)

    def _commit_if_due(self) -> None:
        waiting = len(self.done) + len(self.relabels)
        if waiting >= COMMIT_FILES or time.monotonic() - self.committed > COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self._commit_relabels()
        self._commit_done()
        self.committed = time.monotonic()

    def _commit_done(self) -> None:
        """Commit the rows of files that were embedded, unless they changed meanwhile."""
        done, self.done = self.done, []
        rows: list[Row] = []
        vectors = [np.zeros((0, self.space.dim), np.float32)]
        failures: list[tuple[FileState, str]] = []
        for scanned, row in done:
            entry = scanned.entry
            if not is_unchanged(scanned):
                self.changes.postponed.append(entry.path)
                self.changes.summary.note_failed(entry.modality, entry.path, CHANGED)
            elif row.vectors_VE is None:
                reason = row.error.reason if row.error else "unknown"
                failures.append((entry.state(scanned.hashed()), reason))
                self._note_failure(entry, reason)
            else:
                rows += rows_of(scanned, row.thumbnails)
                vectors.append(row.vectors_VE)
        self._write(rows, np.concatenate(vectors), failures)
        self.changes.embedded += len(vectors) - 1

    def _write(
        self, rows: list[Row], vectors_KE: np.ndarray, failures: list[tuple[FileState, str]]
    ) -> None:
        """Commit rows of files that had none, then those that replace others."""
        if not rows and not failures:
            return
        files = {row.file for row in rows}
        old = {file for file in files if file in self.states}
        fresh = [index for index, row in enumerate(rows) if row.file not in old]
        other = [index for index, row in enumerate(rows) if row.file in old]
        # A file that is in neither table, because the process was killed here, is just new again.
        self.table.forget_failures([file for file in files if file in self.failed])
        self.table.add([rows[index] for index in fresh], vectors_KE[fresh])
        if other:
            self.table.replace(old, [rows[index] for index in other], vectors_KE[other])
        self.table.remove_rows([s.file for s, _ in failures if s.file in self.states])
        self.table.note_failures(failures)
        for file in (*old, *(state.file for state, _ in failures)):
            if (state := self.states.get(file)) is not None:
                self.contents[state.hash, state.kind].pop(file, None)
        for row in rows:
            self.contents.setdefault((row.hash, row.kind), {})[row.file] = None
        self.commits += 1
        if self.commits % COMPACT_COMMITS == 0:
            self.table.compact()

    def _commit_relabels(self) -> None:
        """Copy the vectors of known content to the files that have it now."""
        group, self.relabels = self.relabels, []
        sources = [self._source_of(scanned) for scanned in group]
        stored: dict[str, list[tuple[Row, np.ndarray]]] = {}
        if group:  # of each content one file, however many copies there are
            found = self.table.read(one_of("file", set(filter(None, sources))))
            for row, vector_E in zip(*found, strict=True):
                stored.setdefault(row.file, []).append((row, vector_E))
        rows: list[Row] = []
        vectors: list[np.ndarray] = []
        for scanned, source in zip(group, sources, strict=True):
            entry, content = scanned.entry, scanned.hashed()
            if source not in stored:
                # The file that had this content has been updated to other content.
                self.orphans.append(describe(entry, content))
                continue
            rows += [relabel(row, scanned) for row, _ in stored[source]]
            vectors += [vector_E for _, vector_E in stored[source]]
            known = self.states.get(entry.key)
            if known is None or known.hash != content.hash:
                self.taken[content.hash, entry.kind] += 1
        if rows:
            self._write(rows, np.stack(vectors), [])

    def _source_of(self, scanned: ScannedFile) -> str:
        """Return a file that has the rows of known content, the file itself if it does."""
        entry = scanned.entry
        having = self.contents.get((scanned.hashed().hash, entry.kind), {})
        return entry.key if entry.key in having else next(iter(having), "")
