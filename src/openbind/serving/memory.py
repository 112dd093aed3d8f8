"""Memory that is free goes back to the system, so that a service stays as large as its work.

Requests of all sizes, decoded by some threads and freed by others, leave holes in glibc's arenas;
a service would grow for hours while most of it is free (benchmarks/serving.py). On systems with
another C library nothing is done.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys

ARENAS = 2
"""Of glibc's allocator; its default is eight for each core."""
M_ARENA_MAX = -8
"""As malloc.h calls it."""
RELEASE_SECONDS = 5.0
"""Between two times that free memory is given back; it takes milliseconds."""


def limit_arenas() -> bool:
    """Hold glibc's allocator to few arenas, before threads have made more.

    Returns:
        whether it was done.
    """
    try:
        return bool(_libc().mallopt(M_ARENA_MAX, ARENAS))
    except (AttributeError, OSError):
        return False


def release_free() -> bool:
    """Return free memory back to the system.

    Returns:
        whether there was any.
    """
    try:
        return bool(_libc().malloc_trim(0))
    except (AttributeError, OSError):
        return False


async def keep_releasing() -> None:
    """Return free memory back every few seconds, until cancelled."""
    while True:
        await asyncio.sleep(RELEASE_SECONDS)
        await asyncio.to_thread(release_free)


def _libc() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise OSError("not glibc")
    return ctypes.CDLL(None)
