"""Several runs of one recipe over a grid of settings, and one table of their results."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from openbind.atomic import atomic_path
from openbind.errors import ConfigError, TrainingError, shorten
from openbind.training.best import score_of
from openbind.training.log import flatten, read_log
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import parse_yaml, read_recipe, write_recipe
from openbind.training.run import train
from openbind.training.state import RunFolder

SEED = "seed"
"""The axis over which results are averaged."""


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Args:
        values: key of an axis → its value in this run.
        folder: of the run.
        score: of the result, greater is better; None if the run failed.
        numbers: tag → what the result's validation logged.
        error: why it failed.
    """

    values: dict[str, Any]
    folder: str
    score: float | None = None
    numbers: dict[str, float] | None = None
    error: str | None = None


@dataclass(frozen=True)
class SweepTable:
    """The runs of a sweep that are done.

    Args:
        metric: what `score` is.
        runs: in the grid's order.
    """

    metric: str
    runs: tuple[SweepRun, ...]

    def groups(self) -> list[dict[str, Any]]:
        """Return settings but for the seed with mean, spread and number of scores, best first."""
        found: dict[str, list[SweepRun]] = {}
        for run in self.runs:
            rest = {key: value for key, value in run.values.items() if key != SEED}
            found.setdefault(json.dumps(rest), []).append(run)
        groups = []
        for key, runs in found.items():
            scores = [run.score for run in runs if run.score is not None]
            spread = {
                "mean": fmean(scores) if scores else None,
                "standard_deviation": stdev(scores) if len(scores) > 1 else None,
                "runs": len(scores),
            }
            groups.append({"values": json.loads(key), **spread})
        return sorted(groups, key=lambda group: -(group["mean"] or -float("inf")))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        runs = [run.__dict__ for run in self.runs]
        return {"metric": self.metric, "groups": self.groups(), "runs": runs}

    def __str__(self) -> str:
        """Write the groups as a table in Markdown, and failed runs below."""
        groups = self.groups()
        keys = list(groups[0]["values"])
        lines = [_line([*keys, self.metric, "standard deviation", "runs"])]
        lines.append(_line(["---"] * (len(keys) + 3)))
        for group in groups:
            numbers = [group["mean"], group["standard_deviation"]]
            shown = ["" if number is None else f"{number:.4f}" for number in numbers]
            lines.append(_line([*map(str, group["values"].values()), *shown, str(group["runs"])]))
        failed = [f"{run.folder}: {run.error}" for run in self.runs if run.error is not None]
        return "\n".join([*lines, *failed])

    def write(self, folder: Path) -> None:
        """Write `sweep.csv` of the runs, `sweep.json` of all, `sweep.md` of the groups."""
        tags = sorted({tag for run in self.runs for tag in run.numbers or {}})
        with atomic_path(folder / "sweep.csv") as temporary, temporary.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow([*self.runs[0].values, "score", *tags, "folder", "error"])
            for run in self.runs:
                numbers = [(run.numbers or {}).get(tag) for tag in tags]
                writer.writerow([*run.values.values(), run.score, *numbers, run.folder, run.error])
        texts = {"sweep.json": json.dumps(self.to_dict(), indent=1), "sweep.md": str(self)}
        for name, text in texts.items():
            with atomic_path(folder / name) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")


def parse_axes(given: Sequence[str]) -> dict[str, list[Any]]:
    """Return key → values of axes such as `schedule.lr=1e-3,3e-4`.

    Raises:
        ConfigError: no key, no value, a key that is repeated, or a value that isn't YAML.
    """
    axes: dict[str, list[Any]] = {}
    for text in given:
        key, _, values = text.partition("=")
        found = parse_yaml(f"[{values}]")
        if not key or not found or key in axes:
            reason = "expected KEY=VALUE,VALUE with a key of its own, e.g. schedule.lr=1e-3,3e-4"
            raise ConfigError(f"--over {shorten(text)}: {reason}")
        axes[key] = found
    return axes


def run_sweep(
    path: Path,
    axes: Mapping[str, Sequence[Any]],
    data: Path,
    output: Path,
    changes: Mapping[str, str] | None = None,
    *,
    progress: bool = False,
) -> SweepTable:
    """Train a recipe with each combination of values, one after another.

    A run that is finished isn't repeated, one that was interrupted is resumed, and one whose loss
    becomes infinite is listed as failed. The frozen side and features are found in the cache.

    Args:
        path: of the recipe.
        axes: key of the recipe → values.
        data: folder that the recipe's relative paths of data start from.
        output: gets a folder for each run, and the table, after every run.
        changes: of the recipe, for all runs; see `read_recipe`.
        progress: show bars on stderr.

    Raises:
        ConfigError: a combination isn't a valid recipe, found before the first run; or none of
            its pairs is validated.
        InputError: the data can't be read.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError("a sweep is one process; start each run with torchrun instead")
    planned = list(_plan(path, axes, changes or {}))
    output.mkdir(parents=True, exist_ok=True)
    done: list[SweepRun] = []
    for values, recipe in planned:
        done.append(_run(values, recipe, data, output / _name(values), progress))
        SweepTable(recipe.logging.best_by or "mean recall", tuple(done)).write(output)
    return SweepTable(planned[0][1].logging.best_by or "mean recall", tuple(done))


def _plan(
    path: Path, axes: Mapping[str, Sequence[Any]], changes: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], Recipe]]:
    """Read the recipe of each combination of values."""
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        given = {key: json.dumps(value) for key, value in values.items()}
        recipe = read_recipe(path, {**changes, **given})
        if not recipe.validates():
            raise ConfigError(f"{path}: a sweep compares validations; set pairs[].validation")
        yield values, recipe


def _run(
    values: dict[str, Any], recipe: Recipe, data: Path, where: Path, progress: bool
) -> SweepRun:
    folder = RunFolder(where)
    text = write_recipe(recipe)
    done = folder.space.is_dir() and folder.recipe.is_file()
    if not done or folder.recipe.read_text(encoding="utf-8") != text:
        try:
            train(recipe, data, where, resume=True, progress=progress)
        except TrainingError as error:
            return SweepRun(values, str(where), error=str(error))
    score, numbers = _result(folder, recipe)
    return SweepRun(values, str(where), score, numbers)


def _result(folder: RunFolder, recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Return score and numbers of the validation whose weights the run kept."""
    found: dict[int, dict[str, Any]] = {}
    for line in read_log(folder.log):
        found.setdefault(line["step"], {}).update(line)
    scored = [
        (_score(line, recipe.logging.best_by), flatten(line))
        for line in found.values()
        if "validation" in line or "emergence" in line
    ]
    if recipe.logging.keep == "best":
        return max(scored, key=lambda one: one[0])
    return scored[-1]


def _score(line: Mapping[str, Any], metric: str | None) -> float:
    if metric is not None:
        return score_of(metric, flatten(line))
    pairs = line.get("validation") or line["emergence"]
    return fmean(fmean(recall.values()) for recall in pairs.values())


def _name(values: Mapping[str, Any]) -> str:
    """Return a folder's name that says the values, and differs where they do."""
    shown = "_".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return f"{re.sub(r'[^0-9A-Za-z.=_-]+', '-', shown)[:80]}-{digest[:6]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
