"""Files of one modality, and groups of texts, through `embed_many`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Ensemble, FilePart
from openbind.embedding.many import Entry, collect, embed_many
from openbind.space.space import Space

FileItem = str | os.PathLike[str] | FilePart


def embed_paths(
    space: Space,
    modality: str,
    paths: Sequence[FileItem],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Embed files; returns (n, dim) with NaN where one can't be used, and index → reason."""
    items = [path if isinstance(path, FilePart) else Path(path) for path in paths]
    entries = [Entry(modality, item) for item in items]
    rows = embed_many(space, entries, cache=cache, progress=progress)
    vectors_NE, errors = collect(rows, len(entries), space.dim)
    return vectors_NE, {index: error.reason for index, error in errors.items()}


def embed_texts(
    space: Space,
    modality: str,
    groups: Sequence[Sequence[str]],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Embed groups of texts, each to the mean of its texts' vectors: (groups, dim) unit rows."""
    entries = [Entry(modality, Ensemble(tuple(texts))) for texts in groups]
    rows = embed_many(space, entries, cache=cache, progress=progress, on_error="raise")
    return collect(rows, len(entries), space.dim)[0]
