"""`openbind classify`: classify files by words, without training."""

from __future__ import annotations

import argparse

from openbind.cli.verb import Verb, add_space_arguments, print_json
from openbind.errors import InputError
from openbind.modalities import MODALITIES, modality_of_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--labels", required=True, metavar="A,B,…", help="names of the classes")
    parser.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="a prompt with {} for the label; several are averaged (default: {})",
    )
    parser.add_argument(
        "--as",
        dest="modality",
        choices=MODALITIES.names(),
        metavar="MODALITY",
        help="what the files are (default: by their extensions)",
    )
    add_space_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify each file and print the probabilities, the highest first."""
    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    if len(labels) < 2:
        raise InputError(f"--labels {arguments.labels!r}", "expected two labels or more")

    from openbind.catalog import load
    from openbind.evaluation.zero_shot import classify, fill_template

    templates = arguments.template or ["{}"]
    for template in templates:
        fill_template(template, labels[0])

    space = load(arguments.space)
    results = []
    for file in arguments.files:
        modality = arguments.modality or modality_of_file(file, space.modalities)
        if modality is None:
            raise InputError(file, "its extension tells no modality; say it with --as")
        chances = classify(space, modality, [file], labels, templates)[0]
        ranked = sorted(zip(labels, map(float, chances), strict=True), key=lambda pair: -pair[1])
        results.append({"path": file, "modality": modality, "labels": dict(ranked)})
    if arguments.json:
        print_json(results)
        return 0
    for result in results:
        ranking = "  ".join(f"{label} {chance:.3f}" for label, chance in result["labels"].items())
        print(f"{result['path']}  {ranking}")
    return 0


VERB = Verb(
    "Classify files by words, without training: softmax of the similarities to the labels.",
    add_arguments,
    run,
)
