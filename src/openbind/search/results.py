"""What an index answers: what it holds, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Info:
    """What an index holds.

    Args:
        space, fingerprint, dim: of the space that made its vectors.
        roots: the folders.
        rows: vectors: one a file, one a segment of a long recording.
        files: that have rows.
        failed: files that could not be used.
        bytes: what the index takes on the disk.
        by_modality: files of each modality.
        ann: the approximate index in words; None while search is exact.
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


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One row that was found.

    Args:
        id: of the row, for `vector`, `hit` and `thumbnail`.
        path: of the file.
        root: the indexed folder that it lies in.
        modality: what it is read as.
        start_s, end_s: the segment of a long recording that the row is of; None for the whole.
        score: cosine to the query; 1 where nothing was asked.
        size: bytes of the file.
        modified: when it was changed, UTC.
        year: of the image's own date, else of `modified`.
        width, height: in pixels; duration: in seconds; where they are known.
    """

    id: str
    path: Path
    root: Path
    modality: str
    start_s: float | None
    end_s: float | None
    score: float
    size: int
    modified: datetime
    year: int
    width: int | None
    height: int | None
    duration: float | None
