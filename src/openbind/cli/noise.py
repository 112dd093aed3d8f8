"""Messages that libraries in C write to standard error themselves, without a file's name."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NOISE = re.compile(rb"(Note|Warning): |\[[^]]*libmpg123")
"""How lines of libmpg123 begin. What it can't decode becomes an error that names the file."""
END_SECONDS = 0.5
"""To pass on the last lines; processes that still run may hold the other end."""


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave lines like `NOISE` out of what C code writes to standard error; the rest is passed on.

    What Python writes goes to standard error itself, as before.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    own, sys.stderr = sys.stderr, os.fdopen(os.dup(kept), "w", 1, errors="backslashreplace")
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)
    thread = threading.Thread(
        target=_pass_on, args=(read, kept), name="openbind-stderr", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            sys.stderr.flush()
        sys.stderr = own
        os.dup2(kept, 2)
        thread.join(END_SECONDS)


def _pass_on(read: int, target: int) -> None:
    """Copy lines until the other end is closed."""
    with os.fdopen(read, "rb", 0) as source:
        rest = b""
        while chunk := source.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _write(target, line + b"\n")
        _write(target, rest)


def _write(target: int, line: bytes) -> None:
    if line and not NOISE.match(line):
        with suppress(OSError):
            os.write(target, line)
