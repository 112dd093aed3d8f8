"""A request is cut into tasks, each item at its own place on the fair clock."""

from __future__ import annotations

import pytest

from openbind.serving.work import Request, cut_tasks, units_of


def test_tasks() -> None:
    """A file each, texts together; places follow the costs at the pace of the share."""
    request = Request("client", start=10.0, share=2.0, left={}, count=4)
    items = [("text", "a"), ("text", "b"), ("image", b"c"), ("text", "d")]
    tasks = cut_tasks(request, items, [1.0, 1.0, 5.0, 1.0])
    assert [(task.first, task.items) for task in tasks] == [
        (0, ("a", "b")),
        (2, (b"c",)),
        (3, ("d",)),
    ]
    assert [task.orders for task in tasks] == [(10.0, 12.0), (14.0,), (24.0,)]
    assert [task.is_text for task in tasks] == [True, False, True]


def test_units() -> None:
    """A long text is more work than a short one."""
    assert units_of(b"x" * 10_000) == units_of("")
    assert units_of("x" * 20_000) == pytest.approx(11)
