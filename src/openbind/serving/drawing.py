"""Drawing for many clients: one request at a time, in a thread of its own, in fair order.

The order is start-time fair queueing, as in `request_queue`: a client's next request starts on the
fair clock where its last one ended, so that one who asks for many images waits for the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from openbind.generation.decoder import CanceledError
from openbind.serving.limits import Limits
from openbind.serving.work import OverloadedError

FIRST_SECONDS = 1.0
"""Assumed time of an image until the first is measured."""
SMOOTHING = 0.5
"""Weight of the previous estimate when a request has been measured."""

Draw = Callable[[Callable[[int, int], bool]], list[Any]]
"""Draws a request's images; the argument is called after each step."""


@dataclass(eq=False)
class Drawing:
    """Images that one caller waits for.

    Args:
        client: who sent the request.
        count: of its images.
        draw: draws them.
        start: its place on the fair clock.
        deadline: when it is given up.

    Attributes:
        future: of the images; `cancel` gives the request up at any stage.
        done, total: steps, while it is drawn.
    """

    client: str
    count: int
    draw: Draw
    start: float
    deadline: float
    future: Future[list[Any]] = field(default_factory=Future)
    done: int = 0
    total: int = 0

    def note(self, done: int, total: int) -> bool:
        """Note progress; returns whether the images are still wanted."""
        self.done, self.total = done, total
        return not self.future.cancelled() and time.perf_counter() < self.deadline

    def run(self) -> None:
        """Draw the images, unless the request has been given up."""
        try:
            if not self.note(0, 0):
                raise CanceledError
            self._finish(self.draw(self.note), None)
        except CanceledError:
            self._finish(None, OverloadedError(FIRST_SECONDS))
        except Exception as error:  # whatever it is, the caller gets it
            self._finish(None, error)

    def _finish(self, images: list[Any] | None, error: Exception | None) -> None:
        """Settle the future, which its caller may cancel at any moment."""
        if not self.future.set_running_or_notify_cancel():
            return
        if error is None:
            self.future.set_result(images or [])
        else:
            self.future.set_exception(error)


class Drawings:
    """Open requests for images, and the thread that draws them.

    Args:
        limits: of the wait for one's turn, and of the time of a request.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._changed = threading.Condition()
        self._waiting: list[Drawing] = []
        self._current: Drawing | None = None
        self._ends: dict[str, float] = {}
        self._clock = 0.0
        self._seconds = FIRST_SECONDS
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="openbind-serve-drawing")

    def __len__(self) -> int:
        """Return the number of open requests."""
        with self._changed:
            return len(self._open())

    def add(self, draw: Draw, count: int, client: str = "") -> Drawing:
        """Queue a request; the first one starts the thread.

        Args:
            draw: draws the images.
            count: of them.
            client: who sent it.

        Raises:
            OverloadedError: its turn would come too late, or the service is shutting down.
        """
        with self._changed:
            wait = self._seconds * sum(each.count for each in self._open())
            if self._closed or wait > self.limits.wait_seconds:
                raise OverloadedError(wait)
            start = max(self._clock, self._ends.get(client, 0.0))
            self._ends[client] = start + count
            deadline = time.perf_counter() + self.limits.request_seconds
            drawing = Drawing(client, count, draw, start, deadline)
            self._waiting.append(drawing)
            if not self._thread.ident:
                self._thread.start()
            self._changed.notify_all()
        return drawing

    def refuse(self) -> None:
        """Admit no more; what is open is drawn to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Give up what is open, at its next step."""
        with self._changed:
            for drawing in self._open():
                drawing.deadline = 0.0

    def close(self) -> None:
        """Admit no more, give up what is open, and end the thread."""
        self.refuse()
        self.give_up()
        if self._thread.ident:
            self._thread.join()

    def _open(self) -> list[Drawing]:
        current = [] if self._current is None else [self._current]
        return [each for each in [*current, *self._waiting] if not each.future.done()]

    def _run(self) -> None:
        while (drawing := self._take()) is not None:
            begun = time.perf_counter()
            drawing.run()
            if not drawing.future.cancelled() and drawing.future.exception() is None:
                each = (time.perf_counter() - begun) / drawing.count
                self._seconds = SMOOTHING * self._seconds + (1 - SMOOTHING) * each

    def _take(self) -> Drawing | None:
        """Wait for the next request in fair order; None when the queue is closed and empty."""
        with self._changed:
            self._current = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            chosen = min(self._waiting, key=lambda each: each.start)
            self._waiting.remove(chosen)
            self._clock = max(self._clock, chosen.start)
            late = {name for name, end in self._ends.items() if end <= self._clock}
            for client in late:
                del self._ends[client]
            self._current = chosen
            return chosen
