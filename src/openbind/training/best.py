"""Which checkpoint is the best so far, and when a run that doesn't improve stops."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openbind.errors import ConfigError, shorten
from openbind.training.recipe import Logging


@dataclass
class Best:
    """Compares the validations of a run.

    Args:
        metric: tag of a logged number; None is the mean of all recalls of the pairs.
        patience: validations without a better one after which the run stops; None doesn't stop.
        score: of the best so far, greater is better; None before the first.
        step: of the best.
        stale: validations since then.
    """

    metric: str | None = None
    patience: int | None = None
    score: float | None = None
    step: int = 0
    stale: int = 0

    @classmethod
    def of(cls, logging: Logging) -> Best:
        """Return the comparison that a recipe asks for."""
        return cls(logging.best_by, logging.patience)

    @property
    def stops(self) -> bool:
        """Whether patience is exhausted."""
        return self.patience is not None and self.stale >= self.patience

    def judge(self, step: int, numbers: Mapping[str, float], mean: float) -> bool:
        """Take a validation; return whether it is the best so far.

        Args:
            step: of the validation.
            numbers: tag → all that was logged at this step.
            mean: of all recalls of the pairs.

        Raises:
            ConfigError: no such number was logged.
        """
        score = mean if self.metric is None else score_of(self.metric, numbers)
        if self.score is not None and score <= self.score:
            self.stale += 1
            return False
        self.score, self.step, self.stale = score, step, 0
        return True

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"score": self.score, "step": self.step, "stale": self.stale}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.score, self.step, self.stale = state["score"], state["step"], state["stale"]


def score_of(metric: str, numbers: Mapping[str, float]) -> float:
    """Return a logged number so that greater is better: losses are negated.

    Raises:
        ConfigError: no such number was logged.
    """
    require_metric(metric, numbers)
    return -numbers[metric] if metric.endswith("loss") else numbers[metric]


def require_metric(metric: str, known: Iterable[str]) -> None:
    """Check a metric's tag.

    Raises:
        ConfigError: it isn't among the known ones, of which the nearest is named.
    """
    known = list(known)
    if metric not in known:
        near = difflib.get_close_matches(metric, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"logging.best_by: no number {shorten(metric)} is logged at a validation{hint} "
            f"known: {', '.join(known)}"
        )
