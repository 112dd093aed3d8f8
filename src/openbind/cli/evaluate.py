"""`openbind evaluate`: measure spaces on data sets, beside the numbers of papers."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import Verb, print_json
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.evaluation.run import SuiteResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help="names or directories")
    parser.add_argument("--suite", metavar="NAME", help="the data set, see --list")
    parser.add_argument("--data", metavar="DIR", help="where it lies, in its own layout")
    parser.add_argument("--list", action="store_true", help="list suites and their layouts")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep vectors")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate each space, or list what there is."""
    if arguments.list:
        return _list_suites(arguments.json)
    if not arguments.spaces or not arguments.suite or not arguments.data:
        raise InputError("evaluate", "expected SPACE … --suite NAME --data DIR, or --list")

    from openbind.cache import VectorCache
    from openbind.catalog import load
    from openbind.evaluation.run import evaluate

    results = []
    with nullcontext() if arguments.no_cache else VectorCache() as cache:
        for name in arguments.spaces:
            results.append(
                evaluate(load(name), arguments.suite, arguments.data, cache=cache, progress=True)
            )
    for result in results:
        _warn(result)
    if arguments.json:
        print_json([_plain(result) for result in results])
        return 0
    for line in _table(results):
        print(line)
    return 0


def _list_suites(as_json: bool) -> int:
    from openbind.evaluation.suites import SUITES

    suites = {name: SUITES.get(name) for name in SUITES.names()}
    if as_json:
        print_json(
            {
                name: {key: getattr(suite, key) for key in ("title", "layout", "origin", "licence")}
                for name, suite in suites.items()
            }
        )
        return 0
    for name, suite in suites.items():
        print(f"{name:10} {suite.title}; {suite.licence}; {suite.origin}")
        for line in suite.layout.splitlines():
            print(f"{'':10}   {line}")
    return 0


def _warn(result: SuiteResult) -> None:
    """Say on stderr what makes the numbers less than they seem."""
    for path, reason in result.left_out.items():
        print(f"left out {path}: {reason}", file=sys.stderr)
    for name in result.overlaps:
        print(
            f"{result.space} was trained on {name}, which shares items with {result.suite}: "
            "these numbers are no measure of what it makes of the unseen",
            file=sys.stderr,
        )


def _plain(result: SuiteResult) -> dict[str, Any]:
    scores = []
    for score in result.scores:
        published = result.published_for(score)
        own = dataclasses.asdict(score)
        scores.append({**own, "published": published and dataclasses.asdict(published)})
    return {
        "space": result.space,
        "suite": result.suite,
        "scores": scores,
        "left_out": result.left_out,
        "overlaps": list(result.overlaps),
    }


def _table(results: list[SuiteResult]) -> list[str]:
    """One line a number, a column a space."""
    head = [results[0].suite, "chance", *(result.space for result in results), "published"]
    rows = [head]
    for index, score in enumerate(results[0].scores):
        published = results[0].published_for(score)
        beside = "" if published is None else f"{_number(published.value)} {published.where}"
        cells = [_cell(result.scores[index]) for result in results]
        rows.append([f"{score.task}: {score.metric}", _number(score.chance), *cells, beside])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cell(score: Any) -> str:
    if score.interval is None:
        return _number(score.value)
    low, high = score.interval
    return f"{_number(score.value)} ({_number(low)}–{_number(high)})"


def _number(value: float) -> str:
    return f"{value:.3f}" if value <= 1 else f"{value:.1f}"


VERB = Verb(
    "Measure spaces on a data set: zero-shot classification and retrieval, with chance levels and "
    "papers' numbers. Embeddings are kept, so a second run is instant.",
    add_arguments,
    run,
)
