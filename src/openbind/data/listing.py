"""Rows of a source, listed once: later runs, other processes and workers map what was written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from filelock import FileLock

from openbind.atomic import atomic_folder
from openbind.configs import to_dict
from openbind.data.index import FORMAT, META, RowIndex, open_index
from openbind.data.index_writer import index_rows
from openbind.data.sources import PairSource
from openbind.data.sources.trees import CHECKED_ROWS, check_files
from openbind.download import cache_directory
from openbind.modalities import MODALITIES

KEPT_SECONDS = 60 * 24 * 3600
"""Listings that no run has used for so long are deleted."""


def read_rows(source: PairSource, pair: tuple[str, str], root: Path) -> RowIndex:
    """List a source's pairs; no item is decoded.

    The rows are kept in the cache directory, under a hash of the source and of the state of its
    data. While one process writes them, others wait.

    Args:
        source: the data set.
        pair: names of the two modalities, the frozen one first.
        root: the data folder; relative paths start there.

    Returns:
        the rows with items of both modalities (at least one row), and what was excluded.

    Raises:
        ConfigError: no pairs found, or a column or folder is missing.
        InputError: a file of the source, or one of the first items, is missing or broken.
        UnknownNameError: no such modality.
        MissingExtraError: Parquet or videos without their extra.
    """
    for modality in pair:
        MODALITIES.get(modality)
    state = source.state(pair, root)
    if state is None:
        return _list(source, pair, root, None)
    folder = cache_directory() / "rows" / _name(source, pair, state)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            index = open_index(folder, root)
            if index is None:
                _forget(folder.parent)
                with atomic_folder(folder) as new:
                    _list(source, pair, root, new)
                index = open_index(folder, root)
            assert index is not None, "it was written under the lock"
            os.utime(folder / META)
    except OSError:  # a full or read-only disk: memory does for this process
        return _list(source, pair, root, None)
    check_files(index.rows[:CHECKED_ROWS], root)
    return index


def _list(source: PairSource, pair: tuple[str, str], root: Path, folder: Path | None) -> RowIndex:
    found = source.read(pair, root)
    return index_rows(found.rows, root, folder, pair, found.excluded)


def _name(source: PairSource, pair: tuple[str, str], state: str) -> str:
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    parts = json.dumps([FORMAT, kind, to_dict(source), pair, state], sort_keys=True)
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _forget(parent: Path) -> None:
    """Delete the listings that weren't used for long."""
    oldest = time.time() - KEPT_SECONDS
    for meta in parent.glob(f"*/{META}"):
        if meta.stat().st_mtime < oldest:
            shutil.rmtree(meta.parent, ignore_errors=True)
