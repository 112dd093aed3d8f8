"""`openbind classify`: zero-shot classification of files."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openbind.atomic import atomic_path
from openbind.cli.query import note_languages
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_library_arguments,
    add_set_argument,
    add_space_arguments,
    compute_options,
    exit_code,
    load_space,
    path_overrides,
    plain_failures,
    print_json,
    print_line,
    report_failures,
    with_settings,
)
from openbind.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser)
    parser.add_argument("--labels", required=True, metavar="A,B,…", help="comma-separated classes")
    parser.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="a prompt with {} for the label; can be repeated to average several (default: {})",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.csv",
        help="write a table: path, modality, label, and the probability of each label",
    )
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify each file and print the probabilities, the highest first."""
    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    if len(labels) < 2:
        raise InputError(f"--labels {arguments.labels!r}", "expected at least two labels")
    if len(set(labels)) < len(labels):
        raise InputError(f"--labels {arguments.labels!r}", "a label is repeated")
    output = arguments.output
    if output is not None and output.suffix.lower() != ".csv":
        raise InputError(output, "expected the extension .csv")

    from openbind.evaluation.embedder import Embedder
    from openbind.evaluation.zero_shot import class_probabilities, fill_template, label_vectors
    from openbind.modalities import TEXT
    from openbind.search.adhoc import embed_paths

    templates = arguments.template or ["{}"]
    for template in templates:
        fill_template(template, labels[0])
    chosen = arguments.modalities
    needed = {*chosen, TEXT} if chosen else None
    space = with_settings(load_space(arguments, modalities=needed), arguments)
    library = embed_paths(
        space,
        arguments.paths,
        modalities=chosen,
        overrides=path_overrides(arguments),
        cached=not arguments.no_cache,
        progress=True,
        **compute_options(arguments),
    )
    note_languages(space.card, space.name, labels)
    embedder = Embedder(space, **compute_options(arguments))
    labels_KE = label_vectors(embedder, labels, templates)
    results: list[dict[str, Any]] = []
    for entry, vector_E in zip(library.entries, library.vectors_KE, strict=True):
        (odds_K,) = class_probabilities(space, entry.modality, vector_E[None], labels_KE)
        ranked = sorted(zip(labels, map(float, odds_K), strict=True), key=lambda pair: -pair[1])
        path = str(entry.item)
        results.append({"path": path, "modality": entry.modality, "labels": dict(ranked)})
    if output is not None and results:
        write_table(results, labels, output)
        what = "1 row" if len(results) == 1 else f"{len(results)} rows"
        print_line(f"{what} written to {output}", file=sys.stderr)
    if arguments.json:
        skipped, summary = plain_failures(library.failures), library.summary.plain()
        print_json({"results": results, "skipped": skipped, "summary": summary})
    for result in [] if arguments.json or output is not None else results:
        ranking = "  ".join(f"{label} {p:.3f}" for label, p in result["labels"].items())
        print_line(f"{result['path']}  {ranking}")
    report_failures(library.failures, library.summary)
    return exit_code(library.failures, len(results), arguments.strict)


def write_table(results: Sequence[dict[str, Any]], labels: Sequence[str], target: Path) -> None:
    """Write a row for each file as CSV, whole or not at all.

    Args:
        results: with path, modality and label → probability, the highest first.
        labels: in the order of their columns.
        target: the file.
    """
    with (
        atomic_path(target) as temporary,
        # Names of files may hold bytes that are not text.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["path", "modality", "label", *labels])
        for result in results:
            odds = result["labels"]
            shown = [f"{odds[label]:.6f}" for label in labels]
            writer.writerow([result["path"], result["modality"], next(iter(odds)), *shown])


VERB = Verb(
    "Classify files and folders of files zero-shot: softmax of the scaled similarities to the "
    "labels' embeddings.",
    add_arguments,
    run,
)
