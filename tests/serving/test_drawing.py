"""Requests for images: fair between clients, bounded, canceled at any stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from openbind.generation.decoder import CanceledError
from openbind.serving.drawing import FIRST_SECONDS, Drawing, Drawings
from openbind.serving.limits import Limits
from openbind.serving.work import OverloadedError

Note = Callable[[int, int], bool]
SECONDS = 20


@pytest.fixture
def drawings() -> Iterator[Drawings]:
    made = Drawings(replace(Limits(), wait_seconds=10 * FIRST_SECONDS))
    yield made
    made.close()


class Gate:
    """Draws until it is opened."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self.canceled = False

    def draw(self, note: Note) -> list[str]:
        note(1, 3)
        self.begun.set()
        while not self.open.wait(0.005):
            if not note(1, 3):
                self.canceled = True
                raise CanceledError
        return ["drawn"]


def hold(drawings: Drawings) -> tuple[Gate, Drawing]:
    """Occupy the thread."""
    gate = Gate()
    drawing = drawings.add(gate.draw, 1, "first")
    assert gate.begun.wait(SECONDS)
    return gate, drawing


def test_clients_take_turns(drawings: Drawings) -> None:
    """One client's later requests wait for another's first one."""
    gate, held = hold(drawings)
    order: list[str] = []
    names = [("greedy", "a"), ("greedy", "b"), ("greedy", "c"), ("modest", "d")]
    made = [
        drawings.add(lambda note, name=name: order.append(name) or [name], 2, client)
        for client, name in names
    ]
    assert len(drawings) == 5
    gate.open.set()
    assert [each.future.result(SECONDS) for each in made] == [["a"], ["b"], ["c"], ["d"]]
    assert order in (["a", "d", "b", "c"], ["d", "a", "b", "c"])
    assert held.future.result(SECONDS) == ["drawn"]
    assert (held.done, held.total) == (1, 3)


def test_too_much_is_refused(drawings: Drawings) -> None:
    """When one's turn would come too late; afterwards it is admitted again."""
    gate, _ = hold(drawings)
    many = drawings.add(lambda note: [], 100, "a")
    with pytest.raises(OverloadedError) as caught:
        drawings.add(lambda note: [], 1, "b")
    assert caught.value.retry_seconds > 90
    many.future.cancel()
    assert drawings.add(lambda note: ["b"], 1, "b")
    gate.open.set()


def test_cancellation_ends_the_drawing(drawings: Drawings) -> None:
    """At its next step, and before it begins."""
    gate, held = hold(drawings)
    never = drawings.add(lambda note: pytest.fail("was canceled"), 1, "other")
    assert never.future.cancel()
    assert held.future.cancel()
    last = drawings.add(lambda note: ["last"], 1, "other")
    assert last.future.result(SECONDS) == ["last"]
    assert gate.canceled
    assert len(drawings) == 0


def test_errors_reach_their_caller(drawings: Drawings) -> None:
    """The next request is drawn all the same."""
    broken = drawings.add(lambda note: [1 / 0], 1)
    fine = drawings.add(lambda note: [1], 1)
    with pytest.raises(ZeroDivisionError):
        broken.future.result(SECONDS)
    assert fine.future.result(SECONDS) == [1]


def test_late_requests_are_given_up() -> None:
    """Those that take longer than a request may, and all when the service ends."""
    slow = Drawings(replace(Limits(), request_seconds=0.05))
    _, held = hold(slow)
    with pytest.raises(OverloadedError):
        held.future.result(SECONDS)
    slow.close()
    ending = Drawings(Limits())
    gate, held = hold(ending)
    waiting = ending.add(lambda note: [], 1)
    start = time.perf_counter()
    ending.close()
    assert time.perf_counter() - start < SECONDS
    assert gate.canceled
    for drawing in (held, waiting):
        assert isinstance(drawing.future.exception(SECONDS), OverloadedError)
    with pytest.raises(OverloadedError):
        ending.add(lambda note: [], 1)
