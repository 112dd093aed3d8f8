"""The version of a table, asked for again only when its folder has changed."""

from __future__ import annotations

import os
import time
from typing import Any

SETTLED_NS = 2_000_000_000
"""Age of a folder's change from which on another change has another time, on any file system."""
MANIFESTS = "_versions"
"""Folder of a LanceDB table that each new version adds a file to."""


class Versions:
    """Tells a table's newest version; safe to use from several threads.

    LanceDB lists a folder for each question, which takes as long as comparing a thousand vectors.

    Args:
        table: LanceDB's.
        address: its folder; of tables elsewhere, such as in object stores, LanceDB is asked always.
    """

    def __init__(self, table: Any, address: str | os.PathLike[str]) -> None:
        self._table = table
        self._manifests = os.path.join(os.fspath(address), MANIFESTS)
        self._known: tuple[int, int] | None = None

    def newest(self) -> int:
        """Return the number of the newest version."""
        now = time.time_ns()
        try:
            changed = os.stat(self._manifests).st_mtime_ns
        except OSError:
            return int(self._table.version)
        known = self._known
        if known is not None and known[0] == changed:
            return known[1]
        version = int(self._table.version)
        # Whatever has changed too recently may change again without a sign.
        self._known = (changed, version) if now - changed > SETTLED_NS else None
        return version
