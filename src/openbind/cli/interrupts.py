"""Ctrl-C while a library is imported takes effect when the import is over.

The C++ of some libraries ends the process, or hides the interruption, when importing them is
interrupted.
"""

from __future__ import annotations

import signal
from types import FrameType

AGAIN_SECONDS = 0.05
IMPORTING = "<frozen importlib._bootstrap>"
"""File of the code that imports modules."""


def defer_interrupts() -> None:
    """Let Ctrl-C wait for the end of an import; elsewhere it raises `KeyboardInterrupt` as ever.

    Systems without interval timers keep Python's own behavior.
    """
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
