"""Files that clients send ahead of a search: kept for a while, so that links to searches work."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from openbind.serving.errors import ApiError
from openbind.serving.limits import Limits

ID_BYTES = 16


@dataclass(frozen=True)
class KeptFile:
    """A file.

    Args:
        id: a hash of its content.
        name: as the client calls it.
        content: its bytes.
        expires: seconds since 1970.
    """

    id: str
    name: str
    content: bytes
    expires: float


class KeptFiles:
    """Files in memory by the hash of their content, the one used last kept longest.

    Args:
        secret: of the hashes: who has a file can't ask whether another has sent it.
        limits: of their size and age.
    """

    def __init__(self, secret: bytes, limits: Limits) -> None:
        self._secret, self._limits = secret, limits
        self._files: OrderedDict[str, KeptFile] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, content: bytes) -> KeptFile:
        """Keep a file; those used longest ago make room for it.

        Raises:
            ApiError: 400, it is empty; 413, larger than the room for all.
        """
        if not content:
            raise ApiError(400, "expected a file, found zero bytes", param="body")
        room = self._limits.kept_bytes
        if len(content) > room:
            raise ApiError(413, f"{len(content):,} bytes exceed the limit of {room:,}")
        digest = hashlib.blake2b(content, key=self._secret, digest_size=ID_BYTES).hexdigest()
        file = KeptFile(digest, name, content, time.time() + self._limits.kept_seconds)
        with self._lock:
            self._files.pop(digest, None)
            self._files[digest] = file
            self._forget(room)
        return file

    def get(self, file_id: str) -> KeptFile:
        """Return a file.

        Raises:
            ApiError: 404, it isn't kept, or isn't any more.
        """
        with self._lock:
            self._forget(self._limits.kept_bytes)
            file = self._files.get(file_id)
            if file is None:
                message = "this file isn't kept any more; add it to the query again"
                raise ApiError(404, message, param="file", code="file_not_kept")
            self._files.move_to_end(file_id)
        return file

    def _forget(self, room: int) -> None:
        """Drop files that are too old, then those used longest ago, until all fit."""
        now = time.time()
        for key in [key for key, file in self._files.items() if file.expires < now]:
            del self._files[key]
        while sum(len(file.content) for file in self._files.values()) > room:
            self._files.popitem(last=False)
