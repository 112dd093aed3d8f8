"""Decode uploads in processes that can be ended: at a deadline, or when nobody waits any more.

A decoder written in C can't be interrupted, and may take all memory or crash. So files from
clients are decoded in processes of their own, one item at a time, with limits of memory and of CPU
time that the system enforces. They are forked from a process that has only imported the decoders
(tens of milliseconds), know no towers, and answer with numbers and text alone, never with objects
to unpickle.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openbind.errors import InputError, MissingExtraError
from openbind.media.playable import transcode
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality
from openbind.serving.limits import Limits, check_item
from openbind.space.decoding import Decoder

NICE, SLOW_NICE = 5, 15
"""Priorities of the processes, and of those that take long: towers and quick items go first."""
POLL_SECONDS = 0.05
"""Between two looks whether somebody still waits for the item."""
PRELOADED = (
    "openbind.serving.decoders",
    *(place.partition(":")[0] for place in MODALITIES.table.values()),
    "av",
    "soundfile",
)
"""What the process that is forked imports once."""


class Abandoned(Exception):  # noqa: N818 - not an error: nobody waits for the item
    """Nobody waits for the item any more."""


@dataclass(frozen=True)
class _Setup:
    """What a process is started with; modalities that were added in this process travel along."""

    decoder: Decoder
    limits: Limits
    added: dict[str, Modality]


class Decoders:
    """Processes that decode items, one at a time each.

    Args:
        decoder: of the space.
        limits: of items, of the memory and the time of decoding.
    """

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        added = {k: v for k, v in MODALITIES.added.items() if k in decoder.settings}
        limited = Decoder(decoder.settings, decoder.folder, limits.item)
        self._setup = _Setup(limited, limits, added)
        self._idle: deque[_Worker] = deque()
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()

    def start(self, modality: str, item: bytes) -> Decoding:
        """Begin to decode an item.

        Returns:
            the item being decoded; read its `result` until it isn't None.
        """
        while True:
            with self._lock:
                worker = self._idle.popleft() if self._idle else _Worker(self._setup)
                self._busy.add(worker)
            decoding = Decoding(self, worker, item)
            with suppress(OSError):  # it has died while it was idle
                worker.connection.send_bytes(modality.encode())
                worker.connection.send_bytes(item)
                return decoding
            self.release(worker, reuse=False)

    def warm(self, count: int) -> None:
        """Start so many processes."""
        with self._lock:
            self._idle.extend(_Worker(self._setup) for _ in range(count - len(self._idle)))

    def release(self, worker: _Worker, *, reuse: bool) -> None:
        """Take a process back, or end it."""
        with self._lock:
            self._busy.discard(worker)
            if reuse:
                self._idle.append(worker)
        if not reuse:
            worker.end()

    def close(self) -> None:
        """End all processes; items being decoded fail."""
        with self._lock:
            workers = [*self._idle, *self._busy]
            self._idle.clear()
        for worker in workers:
            worker.end()


class Decoding:
    """An item that is being decoded.

    Args:
        decoders: where its process came from.
        worker: decodes it.
        item: for errors.
    """

    def __init__(self, decoders: Decoders, worker: _Worker, item: bytes) -> None:
        self._decoders, self._worker, self._item = decoders, worker, item
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it has been decoded."""
        return time.perf_counter() - self.started

    def result(self, seconds: float, wanted: Callable[[], bool]) -> torch.Tensor | None:
        """Return the clips of the item, (clips, ...).

        Args:
            seconds: None is returned if it isn't done this long after its start.
            wanted: whether somebody still waits for it.

        Raises:
            InputError: the item can't be used, or takes too much memory or time.
            Abandoned: nobody waits.
        """
        while not self._worker.connection.poll(POLL_SECONDS):
            if not wanted():
                self.end()
                raise Abandoned
            if self.seconds > seconds:
                return None
        try:
            head = json.loads(self._worker.connection.recv_bytes())
            data = bytearray(self._worker.connection.recv_bytes())
        except (EOFError, OSError) as error:
            self.end()
            raise InputError(self._item, self._worker.cause_of_death()) from error
        self._decoders.release(self._worker, reuse=not head.get("last", False))
        return _clips(self._item, head, data)

    def end(self) -> None:
        """Stop decoding."""
        self._decoders.release(self._worker, reuse=False)

    def defer(self) -> None:
        """Let its process run only while others don't need the machine."""
        with suppress(OSError, AttributeError):  # it has just ended; or not a POSIX system
            os.setpriority(os.PRIO_PROCESS, self._worker.process.pid or 0, SLOW_NICE)


class _Worker:
    """A process, and the connection to it."""

    def __init__(self, setup: _Setup) -> None:
        context = processes()
        self.limits = setup.limits
        self.connection, child = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(child, setup), name="openbind-decoder", daemon=True
        )
        self.process.start()
        child.close()

    def end(self) -> None:
        self.process.kill()
        self.process.join()

    def cause_of_death(self) -> str:
        """Return why the process ended while it decoded an item."""
        if self.process.exitcode == -getattr(signal, "SIGXCPU", 0):
            return f"takes more than {self.limits.item.work_seconds:g} s to decode"
        return f"ended its decoder; it may need more than {self.limits.decode_bytes:,} bytes"


def processes() -> Any:
    """Return how processes are made: forked from one that has no threads, where there is that."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _clips(item: bytes, head: dict[str, Any], data: bytearray) -> torch.Tensor:
    """Read the answer of a process."""
    if "missing" in head:
        raise MissingExtraError(*head["missing"])
    if "reason" in head:
        raise InputError(item, head["reason"])
    array = np.frombuffer(data, np.dtype(head["dtype"])).reshape(head["shape"])
    return torch.from_numpy(array)


def _serve(connection: Connection, setup: _Setup) -> None:
    """Decode what comes, until the service ends; runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to the service alone
    torch.set_num_threads(1)
    _lower_priority(NICE)
    MODALITIES.added.update(setup.added)
    _limit_memory(setup.limits.decode_bytes)
    while True:
        try:
            modality = connection.recv_bytes().decode()
            item = connection.recv_bytes()
        except (EOFError, OSError):
            return
        _limit_time(setup.limits.item.work_seconds)
        head, data = _decode(setup, modality, item)
        with suppress(OSError):
            connection.send_bytes(json.dumps(head).encode())
            connection.send_bytes(data)


def _decode(setup: _Setup, modality: str, item: bytes) -> tuple[dict[str, Any], Any]:
    """Return an item's clips as a header and their bytes, or the reason why it has none."""
    try:
        check_item(item, setup.limits)
        (sample,) = setup.decoder.samples(modality, item)
        array = np.ascontiguousarray(sample.clips.numpy())
        return {"dtype": array.dtype.str, "shape": array.shape}, array.reshape(-1).view(np.uint8)
    except InputError as error:
        return {"reason": error.reason}, b""
    except MissingExtraError as error:
        return {"missing": [error.purpose, error.package, error.extra]}, b""
    except MemoryError:
        reason = f"needs more than {setup.limits.decode_bytes:,} bytes of memory to decode"
        return {"reason": reason, "last": True}, b""
    except BaseException as error:  # whatever a decoder raises, a panic of Rust too
        return {"reason": f"can't be decoded ({type(error).__name__})", "last": True}, b""


def convert(child: Connection, path: Path, target: Path, images: bool, limits: Limits) -> None:
    """Transcode for browsers, and send why it failed, or nothing; runs in a process of its own."""
    _lower_priority(SLOW_NICE)
    _limit_memory(limits.decode_bytes)
    _limit_time(limits.playable_work_seconds)
    _limit_size(limits.playable_bytes)
    try:
        with limits.item.applied():
            transcode(path, target, images=images, max_seconds=limits.item.seconds)
        reason = ""
    except InputError as error:
        reason = error.reason
    except MissingExtraError as error:
        reason = str(error)
    except BaseException as error:  # whatever a decoder raises, a panic of Rust too
        reason = f"can't be converted ({type(error).__name__})"
    child.send_bytes(reason.encode())


def _lower_priority(nice: int) -> None:
    """Let other processes go before this one by so much."""
    with suppress(AttributeError):  # not a POSIX system
        os.nice(nice)


def _limit_memory(extra_bytes: int) -> None:
    """Let this process allocate so much more than it has now."""
    with suppress(ImportError, OSError, ValueError):  # systems without such limits
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, now + extra_bytes))


def _limit_time(seconds: float) -> None:
    """Let the system end this process after so much more CPU time, even if nobody else can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + seconds) + 1
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _limit_size(size: int) -> None:
    """Let this process write no larger files."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
