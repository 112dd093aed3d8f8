"""A request is cut into tasks, each item at its own place on the fair clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openbind.serving.work import Request, cut_item, cut_tasks, units_of
from openbind.space.vectors import clip_vectors


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


def test_pieces() -> None:
    """An item of many clips is cut, each piece later on the clock, and pooled as a whole."""
    request = Request("client", start=10.0, share=2.0, left={}, count=1)
    (task,) = cut_tasks(request, [("audio", b"x")], [1.0])
    clips = torch.arange(10.0)[:, None]
    cut = cut_item(task, 0, clips.split(4), 0)
    assert [len(item.clips) for item in cut] == [4, 4, 2]
    assert [item.order for item in cut] == [10.0, 11.0, 12.0]
    assert sum(item.units for item in cut) == pytest.approx(1)
    rows_SE = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    done = [request.store(cut[at], rows_SE[4 * at : 4 * at + 4]) for at in (2, 0, 1)]
    assert done == [False, False, True]
    np.testing.assert_allclose(request.vectors[0], clip_vectors(rows_SE).mean_vector())
