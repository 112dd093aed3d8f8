"""`openbind compare`: the similarity matrix of a few items."""

from __future__ import annotations

import argparse

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_part_arguments,
    add_set_argument,
    add_space_arguments,
    compute_options,
    load_space,
    print_json,
    query_terms,
    with_settings,
)
from openbind.errors import InputError, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_part_arguments(parser)
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the items and print their cosines."""
    terms = query_terms(arguments, {})
    if len(terms) < 2:
        raise InputError("compare", f"expected at least two items, found {len(terms)}")

    import numpy as np

    space = load_space(arguments, modalities={term.modality for term in terms})
    space = with_settings(space, arguments)
    options = compute_options(arguments)
    vectors_NE = np.stack(
        [space.encode(term.modality, [term.item], **options)[0] for term in terms]
    )
    cosines_NN = vectors_NE @ vectors_NE.T
    names = [f"{term.modality}: {describe(term.item, 40)}" for term in terms]
    if arguments.json:
        print_json(
            {"items": names, "cosine": [[round(float(c), 4) for c in row] for row in cosines_NN]}
        )
        return 0
    width = max(map(len, names))
    print(" " * width, *(f"{column:>7}" for column in range(1, len(names) + 1)))
    for number, (name, row) in enumerate(zip(names, cosines_NN, strict=True), 1):
        print(f"{name:{width}}", *(f"{cosine:+7.3f}" for cosine in row), f"  {number}")
    return 0


VERB = Verb("Print the cosines between a few items of any modalities.", add_arguments, run)
