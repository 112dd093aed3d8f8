"""Messages that libraries in C write to standard error themselves, without a file's name."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NOISE = re.compile(rb"(Note|Warning): |\[[^]]*libmpg123")
"""How lines of libmpg123 begin. What it can't decode becomes an error that names the file."""
END_SECONDS, POLL_SECONDS = 0.5, 0.002
"""To pass on the last lines; processes that still run may hold the other end."""


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave lines like `NOISE` out of what C code writes to standard error; the rest is passed on.

    What Python writes goes to standard error itself, as before. A process of its own passes lines
    on, so that the last word of one that aborts isn't lost.
    """
    if not hasattr(os, "fork"):
        yield
        return
    own, kept = sys.stderr, os.dup(2)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        _pass_on(read)
    sys.stderr = os.fdopen(kept, "w", 1, errors="backslashreplace", closefd=False)
    os.close(read)
    os.dup2(write, 2)
    os.close(write)
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            sys.stderr.flush()
        sys.stderr = own
        os.dup2(kept, 2)
        os.close(kept)
        _wait_for(child)


def _pass_on(read: int) -> None:
    """Copy lines to standard error until the other end is closed, and end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.close(0)
        os.close(1)
        rest = b""
        while chunk := os.read(read, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _write(line + b"\n")
        _write(rest)
    os._exit(0)


def _write(line: bytes) -> None:
    if line and not NOISE.match(line):
        os.write(2, line)


def _wait_for(child: int) -> None:
    end = time.monotonic() + END_SECONDS
    with suppress(ChildProcessError):
        while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
