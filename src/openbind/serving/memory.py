"""Return freed memory to the system, so that a service stays as large as its current work.

Requests of all sizes, decoded by several threads and freed by others, fragment glibc's arenas; a
service would grow for hours while most of its memory is free (benchmarks/serving.py). With other C
libraries this does nothing.
"""

from __future__ import annotations

import asyncio

from openbind.model.memory import c_library, release_free

ARENAS = 2
"""Of glibc's allocator; its default is eight for each core."""
M_ARENA_MAX = -8
"""The parameter's number in malloc.h."""
RELEASE_SECONDS = 5.0
"""Between two releases; each takes milliseconds."""


def limit_arenas() -> bool:
    """Limit glibc's allocator to few arenas; call it before threads have created more.

    Returns:
        whether it took effect.
    """
    try:
        return bool(c_library().mallopt(M_ARENA_MAX, ARENAS))
    except (AttributeError, OSError):
        return False


async def keep_releasing() -> None:
    """Return free memory to the system every few seconds, until cancelled."""
    while True:
        await asyncio.sleep(RELEASE_SECONDS)
        await asyncio.to_thread(release_free)
