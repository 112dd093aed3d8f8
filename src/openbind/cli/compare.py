"""`openbind compare`: the similarity matrix of a few items."""

from __future__ import annotations

import argparse

from openbind.cli.verb import Verb, add_part_arguments, add_space_arguments, print_json, query_parts
from openbind.errors import InputError, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_part_arguments(parser)
    add_space_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the items and print their cosines."""
    parts = query_parts(arguments, {})
    if len(parts) < 2:
        raise InputError("compare", f"expected two items or more, found {len(parts)}")

    import numpy as np

    from openbind.catalog import load

    space = load(arguments.space, modalities={part.modality for part in parts})
    vectors = np.stack([space.encode(part.modality, [part.item])[0] for part in parts])
    cosines = vectors @ vectors.T
    names = [f"{part.modality}: {describe(part.item, 40)}" for part in parts]
    if arguments.json:
        print_json(
            {"items": names, "cosine": [[round(float(c), 4) for c in row] for row in cosines]}
        )
        return 0
    width = max(map(len, names))
    print(" " * width, *(f"{column:>7}" for column in range(1, len(names) + 1)))
    for number, (name, row) in enumerate(zip(names, cosines, strict=True), 1):
        print(f"{name:{width}}", *(f"{cosine:+7.3f}" for cosine in row), f"  {number}")
    return 0


VERB = Verb("Print the cosine of every pair of a few items.", add_arguments, run)
