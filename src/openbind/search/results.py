"""Values that an index returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from openbind.embedding.scan import Summary


@dataclass(frozen=True, kw_only=True)
class Info:
    """Counts and sizes of an index.

    Args:
        space, fingerprint, dim: of the space that made its vectors.
        roots: the indexed folders.
        rows: number of vectors: one per file, or one per segment of a long recording.
        files: number of files with rows.
        failed: number of files that could not be embedded.
        bytes: size on disk.
        by_modality: number of files of each modality.
        ann: the approximate index, for people; None while search is exact.
        type_overrides: pattern → type of files whose extension doesn't determine it.
        summary: what became of the folders' files in the last update; None before the first.
    """

    space: str
    fingerprint: str
    dim: int
    roots: tuple[Path, ...]
    rows: int
    files: int
    failed: int
    bytes: int
    by_modality: dict[str, int]
    ann: str | None
    type_overrides: dict[str, str]
    summary: Summary | None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One search result.

    Args:
        id: of the row, for `vector`, `hit` and `thumbnail`.
        path: of the file.
        root: the indexed folder that contains it.
        modality: what it is embedded as.
        start_s, end_s: the segment of a long recording, in seconds; None for files without a
            duration.
        score: cosine to the query; 1 without a query.
        deviations, close: see `openbind.search.query.Found`.
        size: of the file in bytes.
        modified: modification time of the file, UTC.
        taken: date of a photograph in the camera's local time, else `modified`.
        year: of `taken`.
        camera: that took a photograph; None if unknown.
        hash: of the file's content.
        width, height: in pixels; duration: in seconds; None if unknown.
    """

    id: str
    path: Path
    root: Path
    modality: str
    start_s: float | None
    end_s: float | None
    score: float
    deviations: float | None = None
    close: bool | None = None
    size: int
    modified: datetime
    taken: datetime
    year: int
    camera: str | None
    hash: str
    width: int | None
    height: int | None
    duration: float | None
