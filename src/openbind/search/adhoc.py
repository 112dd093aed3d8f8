"""Search without an index: find files in folders and embed them through the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.items import item_name
from openbind.embedding.many import Entry, Failure, embed_many
from openbind.embedding.overrides import TypeOverride, check_overrides
from openbind.embedding.scan import Scan, Summary, scan
from openbind.errors import InputError
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from openbind.embedding.many import ComputeOptions

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Library:
    """Embedded files: row i of `vectors_KE` belongs to `entries[i]`.

    Args:
        entries: files that could be embedded, in the order of the scan.
        vectors_KE: (files, dim) float32, unit rows.
        failures: files that could not be embedded, and folders that could not be read.
        summary: what became of all files below the paths.
    """

    entries: tuple[Entry, ...]
    vectors_KE: np.ndarray
    failures: tuple[Failure, ...]
    summary: Summary


def find_files(
    paths: Sequence[PathLike],
    modalities: Sequence[str],
    overrides: Sequence[TypeOverride] = (),
) -> Scan:
    """List the files of some modalities below some paths.

    Args:
        paths, modalities, overrides: as for `scan`.

    Raises:
        InputError: a path doesn't exist, there are no such files, or an override's modality isn't
            one of them.
        ConfigError: an override's modality has no such setting.
    """
    check_overrides(overrides, modalities, "the modalities chosen")
    found = scan(paths, modalities, overrides)
    if not found.entries:
        unreadable = "".join(f"; {failure.name}: {failure.reason}" for failure in found.failures)
        raise InputError(
            ", ".join(map(str, paths)),
            f"no files of {' or '.join(modalities)} here ({found.summary}){unreadable}",
        )
    return found


def embed_paths(
    space: Space,
    paths: Sequence[PathLike],
    *,
    modalities: Sequence[str] = (),
    overrides: Sequence[TypeOverride] = (),
    cached: bool = True,
    progress: bool = False,
    **options: Unpack[ComputeOptions],
) -> Library:
    """Embed the files below some paths; files whose content is in the cache are only hashed.

    Args:
        space: has the modalities.
        paths: folders, searched recursively, or files.
        modalities: of the files; empty for all of the space.
        overrides: what files are whose extension doesn't determine it.
        cached: read and write the default cache.
        progress: show a progress bar on stderr if it takes longer than a second.
        options: `batch_size`, `workers` and `device` as in `ComputeOptions`.

    Raises:
        InputError: a path doesn't exist, or there are no files to embed.
    """
    found = find_files(paths, modalities or space.modalities, overrides)
    cache = VectorCache() if cached else None
    try:
        rows = list(embed_many(space, found.entries, cache=cache, progress=progress, **options))
    finally:
        if cache is not None:
            cache.close()
    for row in rows:
        if row.vectors_VE is None:
            found.summary.note_failed(row.entry.modality, Path(item_name(row.entry.item)))
    failures = [row.failure for row in rows if row.failure is not None]
    vectors = [row.vectors_VE for row in rows if row.vectors_VE is not None]
    return Library(
        entries=tuple(row.entry for row in rows if row.vectors_VE is not None),
        vectors_KE=np.concatenate([np.zeros((0, space.dim), np.float32), *vectors]),
        failures=(*found.failures, *failures),
        summary=found.summary,
    )
