"""Values that an index returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from openbind.embedding.items import stored_name
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


_OWN = ("path", "root", "score", "deviations", "close")
_NAMES = tuple(name for name in Hit.__dataclass_fields__ if name not in _OWN)
_READ = itemgetter(*_NAMES)


def make_hits(rows: Iterable[Mapping[str, Any]], roots: Mapping[int, Path]) -> list[Hit]:
    """Return hits of the rows of a table.

    Args:
        rows: columns by name, with `score` (1 if missing), `deviations` and `close`, if known.
        roots: number → path; rows of others, which are being removed, are left.
    """
    hits = []
    for row in rows:
        root = roots.get(row["root"])
        if root is None:
            continue
        hits.append(
            Hit(
                path=_path_of(root, row["path"]),
                root=root,
                score=float(row.get("score", 1.0)),
                deviations=row.get("deviations"),
                close=row.get("close"),
                **dict(zip(_NAMES, _READ(row), strict=True)),
            )
        )
    return hits


@lru_cache(maxsize=10_000)
def _path_of(root: Path, stored: str) -> Path:
    """Return a file's path; joining takes longer than anything else of a hit."""
    return root / stored_name(stored)
