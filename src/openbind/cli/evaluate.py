"""`openbind evaluate`: measure spaces on the sets that ship, or on data sets."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_set_argument,
    compute_options,
    load_space,
    print_json,
    print_line,
    with_settings,
)
from openbind.errors import ConfigError, InputError, OpenbindError

if TYPE_CHECKING:
    from openbind.embedding.cache import VectorCache
    from openbind.evaluation.builtin import BuiltIn
    from openbind.evaluation.judge import EfficientNetJudge
    from openbind.evaluation.results import SuiteResult
    from openbind.space.space import Space

ALL = "all"
DEFAULT_REPORT = "openbind-report.html"
SHOWN_ITEMS = 5
"""Excluded items that are named; of the others there is the number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help="names or directories")
    parser.add_argument(
        "--suite",
        metavar="NAME",
        help="a data set of --list, or 'all' for those in --data (default: the sets that ship)",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the suite's data, in its own layout; with 'all' a folder that contains one "
        "for each suite, by its name; without --suite a folder that contains roadscene/, which "
        "doesn't ship",
    )
    parser.add_argument("--list", action="store_true", help="list suites and their layouts")
    parser.add_argument(
        "--probe", action="store_true", help="also train few-shot and linear probes"
    )
    parser.add_argument(
        "--compare", action="store_true", help="show each space's differences from the first"
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="HTML report with the sets that ship and all numbers (default: "
        f"{DEFAULT_REPORT}; not written when --suite is given)",
    )
    parser.add_argument(
        "--judge",
        type=Path,
        metavar="FILE",
        help="names drawn images, a file of recipes/starter/generator or of "
        "`openbind.evaluation.judge.write_judge` (default: the one that ships)",
    )
    parser.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_set_argument(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate each space, or list the suites."""
    if arguments.list:
        return _list_suites(arguments.json)
    _check(arguments)

    from openbind.embedding.cache import VectorCache

    results: list[SuiteResult] = []
    built_in: list[tuple[Space, BuiltIn]] = []
    failed = False
    with nullcontext() if arguments.no_cache else VectorCache() as cache:
        if arguments.suite is not None:
            results, failed = _evaluate(arguments, _find_suites(arguments), cache)
        if arguments.report is not None or arguments.suite is None:
            built_in = _measure_built_in(arguments, cache)
    results += [result for _, measured in built_in for result in measured.results]
    for result in results:
        _warn(result)
    _print(results, built_in, arguments)
    return 1 if failed else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        InputError: names what was expected.
    """
    if not arguments.spaces:
        raise InputError("evaluate", "expected SPACE …, or --list")
    if arguments.suite is not None and arguments.data is None and not _ships(arguments.suite):
        raise InputError(f"--suite {arguments.suite}", "expected --data DIR: it does not ship")
    if arguments.suite is None and arguments.probe:
        raise InputError(
            "--probe", "expected --suite: the sets that ship are too small to train on"
        )
    if arguments.compare and len(arguments.spaces) < 2:
        raise InputError("--compare", "expected at least two spaces")


def _judge(arguments: argparse.Namespace) -> EfficientNetJudge | None:
    """Read the judge of `--judge`, if there is one."""
    from openbind.evaluation.judge import read_judge

    return None if arguments.judge is None else read_judge(arguments.judge)


def _ships(suite: str) -> bool:
    """Return whether a suite needs no data of its own."""
    from openbind.evaluation.suites import SUITES

    return suite != ALL and SUITES.get(suite).ships


def _find_suites(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return suites with their data.

    Raises:
        InputError: with "all", no suite has a folder.
    """
    from openbind.evaluation.held_out import held_out_folder
    from openbind.evaluation.suites import SUITES

    data = held_out_folder() if arguments.data is None else Path(arguments.data)
    if arguments.suite != ALL:
        return {arguments.suite: data}

    folders = {name: data / name for name in SUITES.names()}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if len(missing) == len(folders):
        raise InputError(data, f"expected folders named as suites: {', '.join(missing)}")
    if missing:
        print(f"no folders in {data} for {', '.join(missing)}", file=sys.stderr)
    return {name: folder for name, folder in folders.items() if name not in missing}


def _evaluate(
    arguments: argparse.Namespace, folders: dict[str, Path], cache: VectorCache | None
) -> tuple[list[SuiteResult], bool]:
    """Evaluate each space on each suite; with "all", errors of single suites are printed.

    Returns:
        results by suite, and whether a suite's data couldn't be used.
    """
    from openbind.evaluation.run import evaluate

    results: dict[str, list[SuiteResult]] = {name: [] for name in folders}
    failed = False
    for name in arguments.spaces:
        space = with_settings(load_space(arguments, name), arguments)
        for suite, folder in folders.items():
            try:
                result = evaluate(
                    space,
                    suite,
                    folder,
                    cache=cache,
                    progress=True,
                    probe=arguments.probe,
                    judge=_judge(arguments),
                    **compute_options(arguments),
                )
            except OpenbindError as error:
                if arguments.suite != ALL:
                    raise
                print(f"{suite}: {error}", file=sys.stderr)
                # That a space lacks a modality is no failure.
                failed = failed or not isinstance(error, ConfigError)
            else:
                results[suite].append(result)
    return [result for found in results.values() for result in found], failed


def _measure_built_in(
    arguments: argparse.Namespace, cache: VectorCache | None
) -> list[tuple[Space, BuiltIn]]:
    """Measure each space on the sets that ship."""
    from openbind.evaluation.builtin import find_sets, measure_built_in
    from openbind.evaluation.embedder import Embedder

    own = arguments.suite is None and arguments.data is not None
    sets = find_sets(Path(arguments.data) if own else None)
    found = []
    for name in arguments.spaces:
        space = with_settings(load_space(arguments, name), arguments)
        embedder = Embedder(space, cache=cache, progress=True, **compute_options(arguments))
        found.append((space, measure_built_in(embedder, sets, judge=_judge(arguments))))
    for warning in dict.fromkeys(text for _, measured in found for text in measured.warnings):
        print(f"not measured: {warning}", file=sys.stderr)
    return found


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
    """Print what limits a result's numbers on stderr."""
    from openbind.evaluation.report.composition import warn_of_result

    for name, reason in list(result.excluded.items())[:SHOWN_ITEMS]:
        print_line(f"excluded {name}: {reason}", file=sys.stderr)
    if result.excluded:
        reasons = Counter(result.excluded.values()).most_common()
        counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons[:SHOWN_ITEMS])
        line = f"{result.suite}: {len(result.excluded):,} excluded in all: {counts}"
        print_line(line, file=sys.stderr)
    for note in warn_of_result(replace(result, excluded={})):
        print(note, file=sys.stderr)


def _print(
    results: list[SuiteResult], built_in: list[tuple[Space, BuiltIn]], arguments: argparse.Namespace
) -> None:
    """Print the results of each suite, then the alignment, and write the report."""
    from openbind.evaluation.results import group_by_suite
    from openbind.evaluation.summary import (
        tabulate_all,
        tabulate_cells,
        tabulate_unseen,
        to_plain,
    )

    if arguments.json:
        plain = [
            to_plain(result, found[0] if arguments.compare and number else None)
            for found in group_by_suite(results).values()
            for number, result in enumerate(found)
        ]
        whole = _write_report(results, built_in, arguments) | {"suites": plain} if built_in else {}
        print_json(whole or plain)
        return
    for line in tabulate_all(results, arguments.compare):
        print(line)
    for space, measured in built_in:
        print(f"\ncross-modal alignment of {space.name}")
        for line in (*tabulate_cells(measured.cells), *tabulate_unseen(space.card)):
            print(line)
    if built_in:
        print(f"\nreport: {_write_report(results, built_in, arguments)['report']}")


def _write_report(
    results: list[SuiteResult], built_in: list[tuple[Space, BuiltIn]], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Write the first space's report, with the results of the others; returns its numbers."""
    from openbind.evaluation.report.composition import compose_report
    from openbind.evaluation.report.contents import plain_report
    from openbind.evaluation.report.page import write_report

    space, measured = built_in[0]
    title, path = f"Evaluation of {space.name}", arguments.report or DEFAULT_REPORT
    report = compose_report(space, measured, results, title=title)
    write_report(report, path)
    return plain_report(report) | {"report": path}


VERB = Verb(
    "Evaluate spaces on the held-out sets that ship, or on data sets: cross-modal alignment, "
    "zero-shot classification, retrieval and probes, with chance levels and published results. "
    "Vectors are cached.",
    add_arguments,
    run,
)
