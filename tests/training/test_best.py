"""The best validation is that of the chosen number; a run that doesn't improve stops."""

from __future__ import annotations

import pytest

from openbind.errors import ConfigError
from openbind.training.best import Best, require_metric, score_of
from openbind.training.recipe import Logging

RECALL = "emergence/text-audio/audio-to-text-R1"


def test_mean() -> None:
    """Without a metric the mean of the recalls decides; equal ones aren't better."""
    best = Best.of(Logging())
    assert [best.judge(step, {}, mean) for step, mean in ((2, 0.1), (4, 0.3), (6, 0.3))] == [
        True,
        True,
        False,
    ]
    assert (best.score, best.step, best.stale, best.stops) == (0.3, 4, 1, False)


def test_metric() -> None:
    """A chosen number decides; a loss is better when it is less."""
    best = Best(metric=RECALL)
    assert best.judge(1, {RECALL: 0.2}, 0.9)
    assert not best.judge(2, {RECALL: 0.1}, 1.0)
    assert score_of("a-b/loss", {"a-b/loss": 2.0}) == -2.0
    with pytest.raises(ConfigError, match=f"did you mean '{RECALL}'"):
        require_metric("emergence/text-audio/audio-to-text", ["lr", RECALL])


def test_patience() -> None:
    """It stops after so many validations without a better one, also when it was restored."""
    best = Best(patience=2)
    for step, mean in ((1, 0.5), (2, 0.4)):
        best.judge(step, {}, mean)
    resumed = Best(patience=2)
    resumed.restore(best.state())
    for one in (best, resumed):
        assert not one.stops
        one.judge(3, {}, 0.5)
        assert one.stops
    best.judge(4, {}, 0.6)
    assert not best.stops
