"""`openbind search`: find files by text, images, sounds or any other modality."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_library_arguments,
    add_query_arguments,
    add_set_argument,
    add_space_arguments,
    check_device,
    compute_options,
    exit_code,
    limit_items,
    load_space,
    parse_weights,
    path_overrides,
    plain_failures,
    positive,
    print_json,
    print_line,
    query_terms,
    report_failures,
    with_settings,
)
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.search.query import Term


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser, paths="*")
    parser.add_argument(
        "--index", metavar="INDEX", help="search this index (`openbind index`) instead of folders"
    )
    parser.add_argument(
        "--where", metavar="FILTER", help='of the files of an index, as "year > 2020"'
    )
    add_query_arguments(parser)
    parser.add_argument(
        "-k",
        "--top-k",
        type=positive,
        default=10,
        metavar="N",
        help="number of results (default: 10)",
    )
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)
    # An index has a space of its own; only for folders there is a default.
    parser.set_defaults(space=None)


def run(arguments: argparse.Namespace) -> int:
    """Search, and print the best files with their cosine."""
    terms = query_terms(arguments, parse_weights(arguments.weight))
    if not terms:
        raise InputError("the query", "no terms; add at least one, such as --text 'a dog'")
    if bool(arguments.paths) == bool(arguments.index):
        raise InputError("search", "give either folders and files, or an index with --index")
    if arguments.index:
        return _search_index(arguments, terms)
    if arguments.where:
        raise InputError("--where", "only for an index: folders have no columns")
    return _search_paths(arguments, terms)


def _search_index(arguments: argparse.Namespace, terms: list[Term]) -> int:
    from openbind.search.index import Index
    from openbind.search.query import embed_query

    for name, given in (
        ("--strict", arguments.strict),
        ("--no-cache", arguments.no_cache),
        ("--type", arguments.type_overrides),
    ):
        if given:
            raise InputError(name, "only for folders, not for an index")
    index = Index.open(arguments.index)
    needed = {term.modality for term in terms}
    if arguments.space:
        space = load_space(arguments, modalities=needed)
        index.check_space(space)
    else:
        check_device(arguments.device)
        space = index.load_space(device=arguments.device, dtype=arguments.dtype, modalities=needed)
        space = limit_items(space, arguments)
    hits = index.search(
        embed_query(with_settings(space, arguments), terms),
        arguments.top_k,
        modalities=arguments.modalities,
        where=arguments.where,
    )
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


def _search_paths(arguments: argparse.Namespace, terms: list[Term]) -> int:
    from openbind.search.adhoc import embed_paths
    from openbind.search.query import embed_query, nearest

    chosen = arguments.modalities
    needed = {*chosen, *(term.modality for term in terms)} if chosen else None
    space = with_settings(load_space(arguments, modalities=needed), arguments)
    query_E = embed_query(space, terms)
    library = embed_paths(
        space,
        arguments.paths,
        modalities=chosen,
        overrides=path_overrides(arguments),
        cached=not arguments.no_cache,
        progress=True,
        **compute_options(arguments),
    )
    ranked = nearest(query_E, library.vectors_KE, arguments.top_k)
    hits = [
        {
            "rank": rank,
            "score": round(score, 4),
            "modality": library.entries[row].modality,
            "path": str(library.entries[row].item),
        }
        for rank, (row, score) in enumerate(ranked, 1)
    ]
    if arguments.json:
        print_json(
            {
                "results": hits,
                "files": len(library.entries),
                "skipped": plain_failures(library.failures),
                "summary": library.summary.plain(),
            }
        )
    else:
        for hit in hits:
            _print_hit(hit)
    report_failures(library.failures, library.summary)
    return exit_code(library.failures, len(library.entries), arguments.strict)


def _print_hit(hit: dict[str, Any]) -> None:
    """Print one line; for a segment of a long recording with its start."""
    start = hit.get("start_s")
    at = f"  at {int(start) // 60}:{int(start) % 60:02}" if start else ""
    print_line(f"{hit['rank']:3}  {hit['score']:+.3f}  {hit['modality']:8} {hit['path']}{at}")


VERB = Verb(
    "Find files by text, images, sounds or any combination. Vectors are cached, so a second "
    "search embeds only new files.",
    add_arguments,
    run,
)
