"""`openbind search`: find files in folders by words, images, sounds, or several together."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_library_arguments,
    add_part_arguments,
    add_space_arguments,
    check_device,
    embed_places,
    load_space,
    parse_weights,
    positive,
    print_json,
    query_parts,
    report_failures,
)
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.search.query import Term


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser, places="*")
    parser.add_argument(
        "--index", metavar="INDEX", help="search this index (`openbind index`) in place of folders"
    )
    parser.add_argument(
        "--where",
        metavar="SQL",
        help='only files of an index that this holds for, as in "year > 2020"',
    )
    add_part_arguments(parser)
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="MODALITY=NUMBER",
        help="weight of a part (default 1; negative: unlike this)",
    )
    parser.add_argument(
        "-k",
        "--top-k",
        type=positive,
        default=10,
        metavar="N",
        help="number of results (default: 10)",
    )
    add_space_arguments(parser)
    add_compute_arguments(parser)
    # An index knows its space; folders are embedded with the starter unless told otherwise.
    parser.set_defaults(space=None)


def run(arguments: argparse.Namespace) -> int:
    """Search and print the best files with their cosine."""
    parts = query_parts(arguments, parse_weights(arguments.weight))
    if not parts:
        raise InputError("the query", "it has no parts; say what to look for, as in --text 'a dog'")
    if bool(arguments.places) == bool(arguments.index):
        raise InputError("where to search", "give folders or files, or an index with --index")
    if arguments.index:
        return _search_index(arguments, parts)
    if arguments.where:
        raise InputError("--where", "folders have no columns to filter by; make an index of them")
    return _search_places(arguments, parts)


def _search_index(arguments: argparse.Namespace, parts: list[Term]) -> int:
    from openbind.search.index import Index
    from openbind.search.query import embed_query

    for name in ("strict", "no_cache"):
        if getattr(arguments, name):
            raise InputError(f"--{name.replace('_', '-')}", "is of folders, not of an index")
    index = Index.open(arguments.index)
    if arguments.space:
        space = load_space(arguments)
        index.check_space(space)
    else:
        check_device(arguments.device)
        space = index.load_space(device=arguments.device)
    query_E = embed_query(space, parts)
    modalities = arguments.modalities.split(",") if arguments.modalities else ()
    hits = index.search(query_E, arguments.top_k, modalities=modalities, where=arguments.where)
    rows = [
        {
            "rank": rank,
            "score": round(hit.score, 4),
            "modality": hit.modality,
            "path": str(hit.path),
            "start_s": hit.start_s,
            "end_s": hit.end_s,
        }
        for rank, hit in enumerate(hits, 1)
    ]
    if arguments.json:
        print_json({"results": rows})
    else:
        for row in rows:
            _print_hit(row)
    return 0


def _search_places(arguments: argparse.Namespace, parts: list[Term]) -> int:
    from openbind.search.query import embed_query, nearest

    space = load_space(arguments)
    query_E = embed_query(space, parts)
    library = embed_places(space, arguments)
    ranked = nearest(query_E, library.vectors_KE, arguments.top_k) if library.entries else []
    hits = [
        {
            "rank": rank,
            "score": round(score, 4),
            "modality": library.entries[row].modality,
            "path": str(library.entries[row].path),
        }
        for rank, (row, score) in enumerate(ranked, 1)
    ]
    if arguments.json:
        skipped = [{"path": str(f.path), "reason": f.reason} for f in library.failures]
        print_json({"results": hits, "files": len(library.entries), "skipped": skipped})
    else:
        for hit in hits:
            _print_hit(hit)
    return report_failures(library.failures, len(library.entries), arguments.strict)


def _print_hit(hit: dict[str, Any]) -> None:
    """Print one line; of a part of a long recording where it starts."""
    start = hit.get("start_s")
    at = f"  at {int(start) // 60}:{int(start) % 60:02}" if start else ""
    print(f"{hit['rank']:3}  {hit['score']:+.3f}  {hit['modality']:8} {hit['path']}{at}")


VERB = Verb(
    "Find files in folders by words, images, sounds, or several together. Vectors are kept in "
    "a cache, so that a second search embeds only what is new.",
    add_arguments,
    run,
)
