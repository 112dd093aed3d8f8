"""`openbind evaluate`: measure spaces on what ships, or on data sets beside papers' numbers."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.cli.built_in import DEFAULT_REPORT, Measured, measure
from openbind.cli.verb import Verb, print_json
from openbind.errors import ConfigError, InputError, OpenbindError

if TYPE_CHECKING:
    from openbind.embedding.cache import VectorCache
    from openbind.evaluation.run import SuiteResult

ALL = "all"
SHOWN_ITEMS = 5
"""Of items excluded that are named; of the rest there is the number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help="names or directories")
    parser.add_argument(
        "--suite",
        metavar="NAME",
        help="the data set, see --list; 'all' for those there are (default: the built-in sets)",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where it lies, in its own layout; for 'all' a folder for each, with the suite's "
        "name; without --suite a folder that holds roadscene/, which doesn't ship",
    )
    parser.add_argument("--list", action="store_true", help="list suites and their layouts")
    parser.add_argument(
        "--probe", action="store_true", help="train linear probes, too, with few items and with all"
    )
    parser.add_argument(
        "--compare", action="store_true", help="say how spaces differ from the first one"
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help=f"the page with the built-in sets and all numbers (default: {DEFAULT_REPORT}; with "
        "--suite none)",
    )
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep vectors")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate each space, or list what there is."""
    if arguments.list:
        return _list_suites(arguments.json)
    _check(arguments)

    from openbind.embedding.cache import VectorCache

    suites: dict[str, list[SuiteResult]] = {}
    failed, showing = False, arguments.report is not None or arguments.suite is None
    with nullcontext() if arguments.no_cache else VectorCache() as cache:
        if arguments.suite is not None:
            suites, failed = _evaluate(arguments, _find_suites(arguments), cache)
        built_in = measure(arguments, cache) if showing else None
    if built_in is not None:
        suites |= built_in.suites
    for result in (result for found in suites.values() for result in found):
        _warn(result)
    _print(list(suites.values()), arguments, built_in)
    return 1 if failed else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what doesn't go together.

    Raises:
        InputError: says what was expected.
    """
    if not arguments.spaces:
        raise InputError("evaluate", "expected SPACE …, or --list")
    if arguments.suite is not None and arguments.data is None:
        raise InputError(f"--suite {arguments.suite}", "expected --data DIR: it does not ship")
    if arguments.suite is None and arguments.probe:
        raise InputError("--probe", "the built-in sets are too small to train on; expected --suite")
    if arguments.compare and len(arguments.spaces) < 2:
        raise InputError("--compare", "expected two spaces or more")


def _find_suites(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return suites with their data.

    Raises:
        InputError: of all suites there is none.
    """
    data = Path(arguments.data)
    if arguments.suite != ALL:
        return {arguments.suite: data}

    from openbind.evaluation.suites import SUITES

    places = {name: data / name for name in SUITES.names()}
    missing = [name for name, place in places.items() if not place.is_dir()]
    if len(missing) == len(places):
        raise InputError(data, f"expected folders named as suites: {', '.join(missing)}")
    if missing:
        print(f"no folders in {data} for {', '.join(missing)}", file=sys.stderr)
    return {name: place for name, place in places.items() if name not in missing}


def _evaluate(
    arguments: argparse.Namespace, places: dict[str, Path], cache: VectorCache | None
) -> tuple[dict[str, list[SuiteResult]], bool]:
    """Evaluate each space on each suite; of all suites those that can't be used are only said.

    Returns:
        suite → results, and whether a suite's data couldn't be used.
    """
    from openbind.catalog import load
    from openbind.evaluation.run import evaluate

    results: dict[str, list[SuiteResult]] = {name: [] for name in places}
    failed = False
    for name in arguments.spaces:
        space = load(name)
        for suite, place in places.items():
            try:
                result = evaluate(
                    space, suite, place, cache=cache, progress=True, probe=arguments.probe
                )
            except OpenbindError as error:
                if arguments.suite != ALL:
                    raise
                print(f"{suite}: {error}", file=sys.stderr)
                # That a space lacks a modality is no fault.
                failed = failed or not isinstance(error, ConfigError)
            else:
                results[suite].append(result)
    return {suite: found for suite, found in results.items() if found}, failed


def _list_suites(as_json: bool) -> int:
    from openbind.evaluation.suites import SUITES

    suites = {name: SUITES.get(name) for name in SUITES.names()}
    if as_json:
        print_json(
            {
                name: {key: getattr(suite, key) for key in ("title", "layout", "origin", "license")}
                for name, suite in suites.items()
            }
        )
        return 0
    for name, suite in suites.items():
        print(f"{name:11} {suite.title}; {suite.license}; {suite.origin}")
        for line in suite.layout.splitlines():
            print(f"{'':11}   {line}")
    return 0


def _warn(result: SuiteResult) -> None:
    """Say on stderr what makes the numbers less than they seem."""
    for path, reason in list(result.excluded.items())[:SHOWN_ITEMS]:
        print(f"excluded {path}: {reason}", file=sys.stderr)
    if len(result.excluded) > SHOWN_ITEMS:
        print(f"{result.suite}: {len(result.excluded):,} excluded in all", file=sys.stderr)
    for task, reason in result.skipped.items():
        print(f"{result.suite}, {task}: not measured: {reason}", file=sys.stderr)
    for name in result.overlaps:
        print(
            f"{result.space} was trained on {name}, which shares items with {result.suite}: "
            "these numbers are no measure of what it makes of the unseen",
            file=sys.stderr,
        )


def _print(
    suites: list[list[SuiteResult]], arguments: argparse.Namespace, built_in: Measured | None
) -> None:
    """Print the results of each suite, then the matrix, and write the report."""
    from openbind.evaluation.summary import tabulate, to_plain

    if arguments.json:
        plain = [
            to_plain(result, results[0] if arguments.compare and place else None)
            for results in suites
            for place, result in enumerate(results)
        ]
        print_json(plain if built_in is None else built_in.write_plain(plain, suites))
        return
    for place, results in enumerate(suites):
        if place:
            print()
        for line in tabulate(results, arguments.compare):
            print(line)
    if built_in is not None:
        built_in.show(suites)


VERB = Verb(
    "Measure spaces on the held-out sets that ship, or on data sets: what aligns with what, "
    "zero-shot classification, retrieval and probes, with chance levels and papers' numbers. "
    "Embeddings are kept, so a second run is instant.",
    add_arguments,
    run,
)
