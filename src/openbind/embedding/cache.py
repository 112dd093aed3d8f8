"""Vectors cached on disk, found by a hash of all that decides them."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from openbind.download import cache_directory

QUERY_KEYS = 500
"""Keys of one query: SQLite before 3.32 takes at most 999."""
DIGEST_BYTES = 8


class VectorCache:
    """A SQLite file of key → float32 vector; safe against crashes and other processes.

    It only saves time, so nothing fails because of it. An entry whose checksum is wrong counts as
    none. A file that is damaged, read-only or on a full disk is reported by one warning; it is only
    read from then on, or not used.

    Args:
        path: the file; None takes `vectors.sqlite` in the cache directory.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else cache_directory() / "vectors.sqlite"
        self._database: sqlite3.Connection | None = None
        self._writable, self._warned = True, False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(self.path)
        except (sqlite3.Error, OSError) as error:
            self._writable = False
            self._warn(error)
            self._database = _open_to_read(self.path)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there, by key."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, np.ndarray] = {}
        try:
            for start in range(0, len(wanted), QUERY_KEYS):
                for key, vector, digest in self._select(wanted[start : start + QUERY_KEYS]):
                    if digest == _digest(key, vector):
                        found[key] = np.frombuffer(vector, dtype=np.float32)
        except (sqlite3.Error, TypeError) as error:  # TypeError: damage made it no blob
            self._warn(error)
            self.close()
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Write vectors, all of them or none."""
        if self._database is None or not self._writable:
            return
        blobs = {key: np.asarray(v, np.float32).tobytes() for key, v in vectors.items()}
        rows = [(key, blob, _digest(key, blob)) for key, blob in blobs.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._writable = False
            self._warn(error)

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
        if self._database is not None:
            self._database.close()
            self._database = None

    def _select(self, keys: list[bytes]) -> Iterable[tuple[bytes, bytes, bytes]]:
        if self._database is None:
            return []
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, vector, digest FROM entries WHERE key IN ({marks})"  # noqa: S608  # only ?,?
        return self._database.execute(query, keys)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            advice = "vectors are computed again and not kept; delete the file if it is damaged"
            message = f"the cache {self.path} can't be used as it should ({error}): {advice}"
            warnings.warn(message, stacklevel=2)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS entries "
            "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, digest BLOB NOT NULL)"
        )
        database.execute("DROP TABLE IF EXISTS vectors")  # of earlier versions, without checksums
    except sqlite3.Error:
        database.close()
        raise
    return database


def _open_to_read(path: Path) -> sqlite3.Connection | None:
    """Open a file of a read-only disk; None if it can't be read either."""
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
        database.execute("SELECT key, vector, digest FROM entries LIMIT 1")
    except (sqlite3.Error, OSError):
        return None
    return database


def _digest(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=DIGEST_BYTES).digest()
