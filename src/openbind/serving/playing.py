"""Recordings that browsers can't play, transcoded when they are asked for, in a bounded folder.

One at a time, in a process of its own at low priority, with limits of memory, CPU time and size
that the system enforces; it ends with the request that asked for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import tempfile
from collections import OrderedDict
from pathlib import Path

from openbind.search.metadata import stat_key_of
from openbind.serving.decoders import convert, processes
from openbind.serving.errors import ApiError
from openbind.serving.limits import Limits
from openbind.serving.work import OverloadedError

POLL_SECONDS = 0.05
WAITING = 8
"""Requests that may wait for others' recordings."""
RETRY_SECONDS = 10
VIDEO_TYPE, AUDIO_TYPE = "video/mp4", "audio/mp4"


class Playables:
    """Transcoded recordings by path and state of their file, the one used last kept longest.

    Args:
        limits: of their length and size.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def get(self, path: Path, *, images: bool) -> Path:
        """Return a recording as a file that browsers play.

        Args:
            path: of a recording.
            images: whether with its images.

        Raises:
            ApiError: 415, it can't be converted, and why.
            OverloadedError: too many wait.
        """
        state = f"{path}/{stat_key_of(path.stat())}/{images}"
        key = hashlib.blake2b(state.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        if key not in self._sizes:
            if self._waiting >= WAITING:
                raise OverloadedError(RETRY_SECONDS)
            self._waiting += 1
            try:
                async with self._turn:
                    if key not in self._sizes:
                        await self._make(key, path, images=images)
            finally:
                self._waiting -= 1
        self._sizes.move_to_end(key)
        return self._place(key)

    def close(self) -> None:
        """Delete all."""
        self._sizes.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _place(self, key: str) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="openbind-", ignore_cleanup_errors=True
            )
        return Path(self._folder.name) / f"{key}.mp4"

    async def _make(self, key: str, path: Path, *, images: bool) -> None:
        target = self._place(key)
        reason = await _run(path, target, self._limits, images=images)
        if reason is not None:
            target.unlink(missing_ok=True)
            raise ApiError(415, f"can't be played here: {reason}", param="id", code="not_playable")
        self._sizes[key] = target.stat().st_size
        while sum(self._sizes.values()) > self._limits.playable_bytes and len(self._sizes) > 1:
            oldest, _ = self._sizes.popitem(last=False)
            self._place(oldest).unlink(missing_ok=True)


async def _run(path: Path, target: Path, limits: Limits, *, images: bool) -> str | None:
    """Transcode in a process that ends with the caller; returns why that failed, or None."""
    own, child = processes().Pipe()
    process = processes().Process(
        target=convert,
        args=(child, path, target, images, limits),
        name="openbind-play",
        daemon=True,
    )
    await asyncio.to_thread(process.start)
    child.close()
    try:
        while process.is_alive() and not own.poll():
            await asyncio.sleep(POLL_SECONDS)
        reason: str = own.recv_bytes().decode()
        return reason or None
    except (EOFError, OSError):
        await asyncio.to_thread(process.join)
        return _cause(process.exitcode, limits)
    finally:
        process.kill()
        own.close()
        await asyncio.shield(asyncio.to_thread(process.join))


def _cause(exit_code: int | None, limits: Limits) -> str:
    if exit_code == -getattr(signal, "SIGXCPU", 0):
        return f"takes more than {limits.playable_work_seconds:.0f} s to convert"
    if exit_code == -getattr(signal, "SIGXFSZ", 0):
        return "too large once converted"
    return "its converter ended"
