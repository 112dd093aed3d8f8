"""Vectors kept on disk, found again by the content of the file they were made from."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from openbind.download import cache_directory


def content_key(path: str | os.PathLike[str], modality: str, fingerprint: str) -> bytes:
    """Hash a file's content together with all that decides its vector.

    Args:
        path: the file.
        modality: what it is read as.
        fingerprint: of the space, `space.fingerprint`.

    Raises:
        OSError: the file can't be read.
    """
    digest = hashlib.blake2b(f"{fingerprint}/{modality}/".encode(), digest_size=20)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


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
        """Read the vectors that are there; keys that aren't are left out."""
        found = {}
        for key in keys:
            row = self._database.execute(
                "SELECT vector FROM vectors WHERE key = ?", (key,)
            ).fetchone()
            if row is not None:
                found[key] = np.frombuffer(row[0], dtype=np.float32)
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
