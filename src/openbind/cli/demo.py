"""`openbind demo`: embed the sample collection, print selected queries, write a report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.cli.verb import (
    DEFAULT_SPACE,
    Verb,
    add_compute_arguments,
    compute_options,
    load_space,
)

if TYPE_CHECKING:
    from openbind.evaluation.report.contents import Query, Report

SHOWN = 3
"""Neighbors printed for a query; the page shows more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "--space", default=DEFAULT_SPACE, help=f"name or directory (default: {DEFAULT_SPACE})"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo/index.html"),
        metavar="FILE",
        help="the report (default: demo/index.html)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="also show the real thermal images of a folder that contains roadscene/, which may "
        "not be redistributed",
    )
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the samples, print queries with their neighbors, and write the report."""
    print("loading the model …", file=sys.stderr)
    from openbind.evaluation.builtin import find_sets, measure_built_in, read_on_disk
    from openbind.evaluation.embedder import Embedder
    from openbind.evaluation.report.composition import compose_report
    from openbind.evaluation.report.imagined import imagine
    from openbind.evaluation.report.page import write_report
    from openbind.evaluation.samples import (
        read_sample_set,
        read_script,
        run_script,
        samples_folder,
    )

    folder, more = samples_folder(), [] if arguments.data is None else read_on_disk(arguments.data)
    script = read_script(folder)
    shipped = [held for held in find_sets() if held.title in script.sets]
    space = load_space(arguments)
    embedder = Embedder(space, progress=True, **compute_options(arguments))
    measured = measure_built_in(embedder, [read_sample_set(folder), *shipped, *more])
    report = compose_report(
        space,
        measured,
        measured.results,
        title=f"One space for {', '.join(some.modality for some in measured.embedded)}",
        warnings=[
            "The samples may be in the model's training data; the model card has results on "
            "held-out data."
        ],
        queries=run_script(embedder, measured.embedded, script.extend(more), folder),
    )
    if script.drawn is not None and space.generator is not None:
        print("drawing …", file=sys.stderr)
        images = next(some for some in measured.embedded if some.modality == script.drawn.target)
        drawn = imagine(embedder, script.drawn, find_sets(), images)
        report = replace(report, imagined=tuple(drawn))
    _print(report)
    write_report(report, arguments.output)
    print(f"\nreport: {arguments.output}")
    return 0


def _print(report: Report) -> None:
    from openbind.evaluation.samples import TITLE
    from openbind.evaluation.summary import tabulate_all, tabulate_unseen

    counts = ", ".join(f"{count} {modality}" for modality, count in report.counts.items())
    print(f"{report.space}: {counts} in one space")
    held_out = [result for result in report.results if result.suite != TITLE]
    print("\nheld out from training")
    for line in (*tabulate_all(held_out), "", *tabulate_unseen(report.card)):
        print(line)
    print("\nselected queries; some of the samples were trained on")
    cells = {(cell.query, cell.target): cell for cell in report.cells}
    single = [query for query in report.queries if len(query.parts) == 1]
    for direction, queries in groupby(single, key=_direction):
        print(f"\n{' → '.join(direction)}", end="")
        if cell := cells.get(direction):
            score = [found for found in cell.raw if found.metric in ("R@1", "R@5")][-1]
            print(
                f" ({'trained' if cell.trained else 'emergent'}); {score.metric} "
                f"{score.value:.2f}, chance {score.chance:.2f}, {cell.count} queries",
                end="",
            )
        print()
        for query in queries:
            _print_query(query)
    print("\nsums of embeddings")
    for query in report.queries:
        if len(query.parts) > 1:
            _print_query(query)
    if report.imagined:
        print("\ndrawn of what the model wasn't trained on (in the report)")
        for drawn in report.imagined:
            near = drawn.nearest
            learned = f"nearest learned from {drawn.learned[0]}, " if drawn.learned else ""
            print(f"  {drawn.item.title} → {learned}sample {near.item.title} {near.cosine:.2f}")
    print("\nsamples, some of which were trained on")
    for line in tabulate_all([result for result in report.results if result.suite == TITLE]):
        print(line)
    print("\nall results on held-out data, from the model card")
    for m in report.card.measurements:
        low, high = m.interval or (m.value, m.value)
        about = f"{m.value:.3f} ({low:.3f}–{high:.3f}), chance {m.chance:.3f}, {m.count:,} items"
        print(f"  {m.task}, {m.metric}: {about}")


def _direction(query: Query) -> tuple[str, str]:
    return query.parts[0].modality, query.neighbors[0].modality


def _print_query(query: Query) -> None:
    found = query.neighbors[0].found[:SHOWN]
    best = ", ".join(f"{near.item.title} {near.cosine:.2f}" for near in found)
    print(f"  {query.title} → {best}")


VERB = Verb(
    "Embed the sample collection: cross-modal search, sums of embeddings, zero-shot "
    "classification; prints results and writes a report.",
    add_arguments,
    run,
)
