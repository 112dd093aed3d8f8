"""`openbind classify`: zero-shot classification of files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_space_arguments,
    compute_options,
    load_space,
    print_json,
)
from openbind.errors import InputError
from openbind.modalities import MODALITIES, modality_of_file

if TYPE_CHECKING:
    import numpy as np

    from openbind.evaluation.embedder import Embedder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--labels", required=True, metavar="A,B,…", help="comma-separated classes")
    parser.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="a prompt with {} for the label; can be repeated to average several (default: {})",
    )
    parser.add_argument(
        "--type",
        choices=MODALITIES.names(),
        metavar="MODALITY",
        help="modality of the files (default: by file extension)",
    )
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify each file and print the probabilities, the highest first."""
    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    if len(labels) < 2:
        raise InputError(f"--labels {arguments.labels!r}", "expected at least two labels")

    from openbind.evaluation.embedder import Embedder
    from openbind.evaluation.zero_shot import class_probabilities, fill_template, label_vectors

    templates = arguments.template or ["{}"]
    for template in templates:
        fill_template(template, labels[0])
    space = load_space(arguments)
    embedder = Embedder(space, **compute_options(arguments))
    labels_KE = label_vectors(embedder, labels, templates)
    results: list[dict[str, Any]] = []
    for path, modality, vector_E in _embed(embedder, arguments.files, arguments.type):
        probabilities = class_probabilities(space, modality, vector_E[None], labels_KE)[0]
        ranked = sorted(zip(labels, map(float, probabilities), strict=True), key=lambda p: -p[1])
        results.append({"path": path, "modality": modality, "labels": dict(ranked)})
    if arguments.json:
        print_json(results)
        return 0
    for result in results:
        ranking = "  ".join(f"{label} {p:.3f}" for label, p in result["labels"].items())
        print(f"{result['path']}  {ranking}")
    return 0


def _embed(
    embedder: Embedder, files: list[str], chosen: str | None
) -> list[tuple[str, str, np.ndarray]]:
    """Return path, modality and vector of each file.

    Raises:
        InputError: a file has an unknown extension, or can't be used.
    """
    found: dict[str, list[Path]] = {}
    of_file = {}
    for file in files:
        modality = chosen or modality_of_file(file, embedder.space.modalities)
        if modality is None:
            raise InputError(file, "unsupported file extension; name its modality with --type")
        of_file[file] = modality
        found.setdefault(modality, []).append(Path(file))
    vectors: dict[tuple[str, Path], np.ndarray] = {}
    for modality, paths in found.items():
        rows = embedder.embed(modality, paths)
        for name, reason in rows.errors.items():
            raise InputError(name, reason)
        vectors |= {(modality, path): row for path, row in zip(paths, rows.vectors_NE, strict=True)}
    return [(file, of_file[file], vectors[of_file[file], Path(file)]) for file in files]


VERB = Verb(
    "Classify files zero-shot: softmax of the scaled similarities to the labels' embeddings.",
    add_arguments,
    run,
)
