"""`openbind search`: find files in folders by words, pictures, sounds, or several together."""

from __future__ import annotations

import argparse

from openbind.cli.verb import (
    Verb,
    add_library_arguments,
    add_part_arguments,
    add_space_arguments,
    embed_places,
    parse_weights,
    print_json,
    query_parts,
    report_failures,
)
from openbind.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser)
    add_part_arguments(parser)
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="MODALITY=NUMBER",
        help="weight of a part (default 1; negative: unlike this)",
    )
    parser.add_argument("-k", type=int, default=10, help="how many to show (default: 10)")
    add_space_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search and print the best files with their cosine."""
    parts = query_parts(arguments, parse_weights(arguments.weight))
    if not parts:
        raise InputError("the query", "it has no parts; say what to look for, as in --text 'a dog'")
    if arguments.k < 1:
        raise InputError(f"-k {arguments.k}", "expected a number of 1 or more")

    from openbind.catalog import load
    from openbind.search.query import embed_query, nearest

    space = load(arguments.space)
    query_E = embed_query(space, parts)
    library = embed_places(space, arguments)
    hits = (
        [
            {
                "rank": rank,
                "score": round(score, 4),
                "modality": entry.modality,
                "path": str(entry.path),
            }
            for rank, (row, score) in enumerate(
                nearest(query_E, library.vectors_KE, arguments.k), 1
            )
            for entry in [library.entries[row]]
        ]
        if library.entries
        else []
    )
    if arguments.json:
        skipped = [{"path": str(f.path), "reason": f.reason} for f in library.failures]
        print_json({"results": hits, "files": len(library.entries), "skipped": skipped})
    else:
        for hit in hits:
            print(f"{hit['rank']:3}  {hit['score']:+.3f}  {hit['modality']:8} {hit['path']}")
    return report_failures(library.failures, len(library.entries), arguments.strict)


VERB = Verb(
    "Find files in folders by words, pictures, sounds, or several together. Vectors are kept in "
    "a cache, so that a second search embeds only what is new.",
    add_arguments,
    run,
)
