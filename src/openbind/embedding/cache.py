"""Vectors kept on disk, found again by the content of the file they were made from."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from openbind.download import cache_directory


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """A part of a file, or a file that needs more than itself to be read.

    A kind of part is a frozen dataclass of this one: its other fields say which part, and go into
    the key of its vector by their `repr`.

    Args:
        path: of the file.
    """

    path: Path

    def __str__(self) -> str:
        """Name it in reports."""
        return str(self.path)

    def read(self) -> Any:
        """Return what the modality accepts.

        Raises:
            InputError: it can't be read.
        """
        raise NotImplementedError


class KeyMaker:
    """Makes the keys of one modality's vectors; a file of many parts is hashed once.

    Args:
        modality: what items are read as.
        fingerprint: of the space, `space.fingerprint`.
    """

    def __init__(self, modality: str, fingerprint: str) -> None:
        self._start = f"{fingerprint}/{modality}/".encode()
        self._hashed: dict[Path, bytes] = {}

    def of_item(self, item: str | os.PathLike[str] | FilePart) -> bytes:
        """Hash a file's content, and which part of it is meant.

        Raises:
            OSError: the file can't be read.
        """
        if not isinstance(item, FilePart):
            return self._of_file(item)
        if item.path not in self._hashed:
            self._hashed[item.path] = self._of_file(item.path)
        # The name of the file doesn't count: the content does.
        part = f"{type(item).__module__}.{replace(item, path=Path())!r}"
        return hashlib.blake2b(self._hashed[item.path] + part.encode(), digest_size=20).digest()

    def of_texts(self, texts: Sequence[str]) -> bytes:
        """Hash texts whose vectors become one."""
        digest = hashlib.blake2b(self._start, digest_size=20)
        for text in texts:
            digest.update(text.encode() + b"\0")
        return digest.digest()

    def _of_file(self, path: str | os.PathLike[str]) -> bytes:
        digest = hashlib.blake2b(self._start, digest_size=20)
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.digest()


def content_key(item: str | os.PathLike[str] | FilePart, modality: str, fingerprint: str) -> bytes:
    """Hash a file's content together with all that decides its vector.

    Args:
        item: the file, or a part of one.
        modality: what it is read as.
        fingerprint: of the space, `space.fingerprint`.

    Raises:
        OSError: the file can't be read.
    """
    return KeyMaker(modality, fingerprint).of_item(item)


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
        """Read the vectors that are there; keys that aren't are excluded."""
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

    def fill(
        self, keys: Sequence[bytes], make: Callable[[list[int]], np.ndarray]
    ) -> list[np.ndarray]:
        """Return a vector for each key, and keep those that weren't there.

        Args:
            keys: in any order, repeated or not.
            make: is told the places of keys that aren't known, and gives their rows (n, dim).
        """
        known = self.get(keys)
        places = {key: place for place, key in enumerate(keys) if key not in known}
        if places:
            made = make(list(places.values()))
            self.put(dict(zip(places, made, strict=True)))
            known |= dict(zip(places, made, strict=True))
        return [known[key] for key in keys]

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
