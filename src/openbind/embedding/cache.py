"""Vectors cached on disk, found by a hash of all that decides them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from openbind.download import cache_directory

QUERY_KEYS = 500
"""Keys of one query: SQLite before 3.32 takes at most 999."""


class VectorCache:
    """A SQLite file of key → float32 vector; safe against crashes and other processes.

    Args:
        path: the file; None takes `vectors.sqlite` in the cache directory.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else cache_directory() / "vectors.sqlite"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=30)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
        )

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there, by key."""
        wanted = list(dict.fromkeys(keys))
        found = {}
        for start in range(0, len(wanted), QUERY_KEYS):
            part = wanted[start : start + QUERY_KEYS]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  # only ?,?
            for key, vector in self._database.execute(query, part):
                found[key] = np.frombuffer(vector, dtype=np.float32)
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Write vectors, all of them or none."""
        rows = [(key, np.asarray(v, np.float32).tobytes()) for key, v in vectors.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
