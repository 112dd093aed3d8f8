"""Evaluate a space on the tasks of a suite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.embedding.cache import VectorCache
from openbind.errors import ConfigError, InputError
from openbind.evaluation.contamination import match_sources, trained_items
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.judge import Judge
from openbind.evaluation.results import SuiteResult, TaskResult
from openbind.evaluation.suites import SUITES
from openbind.evaluation.suites.suite import Suite
from openbind.evaluation.tasks.drawing import with_judge
from openbind.evaluation.tasks.task import Task
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from openbind.embedding.many import ComputeOptions


def evaluate(
    space: Space,
    suite: str,
    data: str | os.PathLike[str],
    *,
    cache: VectorCache | None = None,
    progress: bool = False,
    probe: bool = False,
    judge: Judge | None = None,
    **compute: Unpack[ComputeOptions],
) -> SuiteResult:
    """Evaluate a space on one suite.

    Items that the space's card lists as training data are skipped.

    Args:
        space: the space to be measured.
        suite: a name in `SUITES`.
        data: folder of the data set, in the layout that the suite states.
        cache: vectors of earlier runs, so that a second run embeds nothing; new ones are added.
        progress: show bars on stderr.
        probe: also train linear probes, where the suite has items to train on.
        judge: names drawn images; None takes the one that ships.
        compute: `batch_size`, `workers` and `device`, see `ComputeOptions`.

    Raises:
        UnknownNameError: no such suite.
        ConfigError: the space lacks modalities for each of the suite's tasks.
        InputError: the data's layout is wrong, no item can be used, or all are training data.
    """
    spec: Suite = SUITES.get(suite)
    tasks, trained_on = _drop_trained(spec, space, Path(data))
    embedder = Embedder(space, cache=cache, progress=progress, **compute)
    tasks = with_judge(tasks, judge)
    result = run_tasks(embedder, tasks, suite=suite, title=spec.title, probe=probe)
    if not result.scores:
        raise ConfigError("; ".join(dict.fromkeys(result.skipped.values())))
    overlaps = match_sources(space.card, spec.title, spec.overlaps)
    return replace(result, published=spec.published, overlaps=overlaps, trained_items=trained_on)


def run_tasks(
    embedder: Embedder, tasks: Sequence[Task], *, suite: str, title: str, probe: bool = False
) -> SuiteResult:
    """Measure tasks; those that need a modality that the space lacks are skipped.

    Args:
        embedder: embeds in the space to be measured.
        tasks: of a data set.
        suite: the result's name.
        title: names the data in messages.
        probe: also run tasks that train on labels.

    Raises:
        InputError: no item of a task can be used.
    """
    space, skipped = embedder.space, dict[str, str]()
    results: list[TaskResult] = []
    for task in tasks:
        missing = [name for name in task.modalities() if name not in space.modalities]
        if task.learns and not probe:
            continue
        if missing:
            skipped[task.name] = (
                f"{title} needs {' and '.join(missing)}; {space.name} has only "
                f"{', '.join(space.modalities)}"
            )
            continue
        results.append(task.measure(embedder))
    if probe and results and not any(task.learns for task in tasks):
        skipped["probe"] = f"{title} has no items to train probes on"
    return SuiteResult(
        suite=suite,
        space=space.name,
        scores=tuple(score for result in results for score in result.scores),
        excluded={name: why for result in results for name, why in result.excluded.items()},
        skipped=skipped,
        confusions=tuple(found for result in results for found in result.confusions),
        rankings=tuple(found for result in results for found in result.rankings),
        drawn=tuple(found for result in results for found in result.drawn),
        located=tuple(found for result in results for found in result.located),
    )


def _drop_trained(spec: Suite, space: Space, data: Path) -> tuple[list[Task], int]:
    """Read a suite's tasks and drop the items that a space's card lists as training data.

    Returns:
        the tasks, and how many items of the task with the most were dropped.
    """
    tasks, names = spec.read(data), trained_items(space.card, spec.title)
    if not names:
        return list(tasks), 0
    kept: list[Task] = [task.without(names, spec.identify) for task in tasks]
    if not any(task.items for task in kept):
        raise InputError(
            data, f"{space.name} was trained on each of its items; expected others of {spec.title}"
        )
    dropped = [len(task.items) - len(left.items) for task, left in zip(tasks, kept, strict=True)]
    return kept, max(dropped)
