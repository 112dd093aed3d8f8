"""Commands on a few items, whose time is mostly that of importing libraries.

A fifth of `import torch` and its end is Python's work on memory that nobody frees: the collector of
cycles visits hundreds of thousands of new objects again and again, and at exit all are taken apart.
And threads of PyTorch's pool that wait would spin; between tasks of milliseconds, most of the time.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

NEW_OBJECTS = 1_000_000
"""Objects after which the collector looks for cycles; importing PyTorch makes fewer."""
WAITING = "OMP_WAIT_POLICY"


class ShortCommand:
    """A command on a few items; it changes the whole process."""

    def __init__(self) -> None:
        self._code: int | None = None

    def begin(self) -> None:
        """Prepare the process, before libraries are imported."""
        gc.set_threshold(NEW_OBJECTS)
        os.environ.setdefault(WAITING, "PASSIVE")
        # What is registered first is called last, after other libraries' own work at exit.
        atexit.register(self._leave)

    def end(self, code: int) -> None:
        """Let the process end with a code as soon as everything registered for its exit is done."""
        self._code = code

    def _leave(self) -> None:
        if self._code is None:  # an error that nobody expected
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(self._code)
