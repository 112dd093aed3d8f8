"""`openbind compare`: the similarity matrix of a few items."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from openbind.cli.query import add_part_arguments, note_languages, query_terms
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_set_argument,
    add_space_arguments,
    compute_options,
    load_space,
    print_json,
    with_settings,
)
from openbind.errors import InputError, describe
from openbind.runtime.engines import ENGINES

if TYPE_CHECKING:
    import numpy as np

    from openbind.runtime.exported import ExportedSpace
    from openbind.space.card import Card
    from openbind.space.space import Space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_part_arguments(parser)
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)
    parser.add_argument(
        "--runtime",
        choices=ENGINES.names(),
        help="what computes a folder of `openbind export`, given as --space, without PyTorch",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed the items, print their cosines, and their deviations above unrelated pairs."""
    terms = query_terms(arguments)
    if len(terms) < 2:
        raise InputError("compare", f"expected at least two items, found {len(terms)}")

    import numpy as np

    space = _load(arguments, {term.modality for term in terms})
    note_languages(space.card, space.name, terms)
    given = compute_options(arguments)
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    vectors_NE = np.stack(
        [space.encode(term.modality, [term.item], **options)[0] for term in terms]
    )
    cosines_NN = vectors_NE @ vectors_NE.T
    names = [f"{term.modality}: {describe(term.item, 40)}" for term in terms]
    above = _calibrate(space.card, [term.modality for term in terms], cosines_NN)
    if arguments.json:
        print_json(
            {
                "items": names,
                "cosine": [[round(float(c), 4) for c in row] for row in cosines_NN],
                "deviations": above,
            }
        )
        return 0
    _print_table(names, [[f"{cosine:+.3f}" for cosine in row] for row in cosines_NN])
    if any(value is not None for row in above for value in row):
        print("\nstandard deviations above unrelated pairs")
        _print_table(names, [["–" if v is None else f"{v:+.1f}" for v in row] for row in above])
    return 0


def _load(arguments: argparse.Namespace, modalities: set[str]) -> Space | ExportedSpace:
    if arguments.runtime is None:
        return with_settings(load_space(arguments, modalities=modalities), arguments)
    from openbind.runtime.exported import open_exported

    for option in ("settings", "limit"):
        if getattr(arguments, option):
            reason = "an exported space keeps its settings and limits"
            raise InputError(" ".join(getattr(arguments, option)), reason)
    return open_exported(
        arguments.space, arguments.runtime, modalities=modalities, dtype=arguments.dtype
    )


def _calibrate(
    card: Card, modalities: Sequence[str], cosines_NN: np.ndarray
) -> list[list[float | None]]:
    """Return the deviations above unrelated pairs; None for an item with itself, and if unknown."""

    def above(a: int, b: int) -> float | None:
        known = card.find_unrelated(modalities[a], modalities[b]) if a != b else None
        return None if known is None else round(float(known.calibrate(cosines_NN[a, b])), 2)

    items = range(len(modalities))
    return [[above(a, b) for b in items] for a in items]


def _print_table(names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a square table; columns are numbered as the rows."""
    width = max(map(len, names))
    print(" " * width, *(f"{column:>7}" for column in range(1, len(names) + 1)))
    for number, (name, row) in enumerate(zip(names, cells, strict=True), 1):
        print(f"{name:{width}}", *(f"{cell:>7}" for cell in row), f"  {number}")


VERB = Verb(
    "Print the cosines between a few items of any modalities.",
    add_arguments,
    run,
    is_short=lambda _: True,
)
