"""`openbind search`: find files by text, images, sounds or any other modality."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openbind.cli.query import add_query_arguments, note_languages, query_terms
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_library_arguments,
    add_set_argument,
    add_space_arguments,
    check_device,
    compute_options,
    exit_code,
    limit_items,
    load_space,
    path_overrides,
    plain_failures,
    positive,
    print_json,
    print_line,
    report_failures,
    with_settings,
)
from openbind.errors import InputError
from openbind.modalities import TEXT

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
    """Search, and print the best files with their cosine, and deviations above unrelated files."""
    if not arguments.parts:
        raise InputError("the query", "no terms; add at least one, such as --text 'a dog'")
    if bool(arguments.paths) == bool(arguments.index):
        raise InputError("search", "give either folders and files, or an index with --index")
    if arguments.index:
        return _search_index(arguments)
    if arguments.where:
        raise InputError("--where", "only for an index: folders have no columns")
    return _search_paths(arguments, query_terms(arguments))


def _search_index(arguments: argparse.Namespace) -> int:
    _check_folder_options(arguments)
    rows = _search_snapshot(arguments)
    rows = _search_tables(arguments) if rows is None else rows
    if arguments.json:
        print_json({"results": rows})
    else:
        _print_hits(rows)
    return 0


def _check_folder_options(arguments: argparse.Namespace) -> None:
    for name, given in (
        ("--strict", arguments.strict),
        ("--no-cache", arguments.no_cache),
        ("--type", arguments.type_overrides),
    ):
        if given:
            raise InputError(name, "only for folders, not for an index")


def _search_snapshot(arguments: argparse.Namespace) -> list[dict[str, Any]] | None:
    """Answer a query of texts from the copy of an index, without its tables and PyTorch.

    Returns:
        None where these are needed.
    """
    parts = arguments.parts
    plain = all(part.modality == TEXT for part in parts) and not (
        arguments.where or arguments.space or arguments.settings or arguments.limit
    )
    if not plain or arguments.device not in ("auto", "cpu") or arguments.dtype != "auto":
        return None
    from openbind.search.snapshot import read_snapshot

    snapshot = read_snapshot(arguments.index)
    encode = snapshot.open_text() if snapshot is not None else None
    if snapshot is None or encode is None or not {*arguments.modalities} <= {*snapshot.modalities}:
        return None
    from openbind.search.query import Term, expect_unrelated
    from openbind.search.unrelated import refine_card
    from openbind.space.vectors import combine

    try:
        terms = query_terms(arguments)
        embedded = [Term(term.modality, encode(term.item), term.weight) for term in terms]
    except ValueError:  # texts that the space has to judge
        return None
    card, name = snapshot.read_card()
    note_languages(card, name, terms)
    found = snapshot.search(
        combine([(term.item, term.weight) for term in embedded]),
        arguments.top_k,
        arguments.modalities,
        expect_unrelated(refine_card(card, snapshot.folder), embedded),
    )
    return [_describe_hit(rank, hit) for rank, hit in enumerate(found, 1)]


def _search_tables(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from openbind.search.index import Index
    from openbind.search.query import embed_terms, expect_unrelated
    from openbind.search.unrelated import refine_card
    from openbind.space.vectors import combine

    terms = query_terms(arguments)
    index = Index.open(arguments.index)
    needed = {term.modality for term in terms}
    if arguments.space:
        space = load_space(arguments, modalities=needed)
        index.check_space(space)
    else:
        check_device(arguments.device)
        space = index.load_space(device=arguments.device, dtype=arguments.dtype, modalities=needed)
        space = limit_items(space, arguments)
    note_languages(space.card, space.name, terms)
    embedded = embed_terms(with_settings(space, arguments), terms)
    hits = index.search(
        combine([(term.item, term.weight) for term in embedded]),
        arguments.top_k,
        modalities=arguments.modalities,
        where=arguments.where,
        unrelated=expect_unrelated(refine_card(space.card, index.folder), embedded),
    )
    return [_describe_hit(rank, vars(hit)) for rank, hit in enumerate(hits, 1)]


def _describe_hit(rank: int, hit: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of an index as it is printed."""
    return {
        "rank": rank,
        **_scores(hit["score"], hit.get("deviations"), hit.get("close")),
        "modality": hit["modality"],
        "path": str(hit["path"]),
        "start_s": hit["start_s"],
        "end_s": hit["end_s"],
    }


def _search_paths(arguments: argparse.Namespace, terms: list[Term]) -> int:
    from openbind.search.adhoc import embed_paths
    from openbind.search.query import embed_terms, expect_unrelated, rank
    from openbind.space.vectors import combine

    chosen = arguments.modalities
    needed = {*chosen, *(term.modality for term in terms)} if chosen else None
    space = with_settings(load_space(arguments, modalities=needed), arguments)
    note_languages(space.card, space.name, terms)
    embedded = embed_terms(space, terms)
    query_E = combine([(term.item, term.weight) for term in embedded])
    library = embed_paths(
        space,
        arguments.paths,
        modalities=chosen,
        overrides=path_overrides(arguments),
        cached=not arguments.no_cache,
        progress=True,
        **compute_options(arguments),
    )
    ranked = rank(
        query_E,
        library.vectors_KE,
        [entry.modality for entry in library.entries],
        arguments.top_k,
        expect_unrelated(space.card, embedded),
    )
    hits = [
        {
            "rank": number,
            **_scores(found.cosine, found.deviations, found.close),
            "modality": library.entries[found.row].modality,
            "path": str(library.entries[found.row].item),
        }
        for number, found in enumerate(ranked, 1)
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
        _print_hits(hits)
    report_failures(library.failures, library.summary)
    return exit_code(library.failures, len(library.entries), arguments.strict)


def _scores(cosine: float, deviations: float | None, close: bool | None) -> dict[str, Any]:
    """Return a result's scores for JSON."""
    rounded = None if deviations is None else round(deviations, 2)
    return {"score": round(cosine, 4), "deviations": rounded, "close": close}


def _print_hits(hits: list[dict[str, Any]]) -> None:
    """Print a line for each result; deviations of results that aren't close in parentheses."""
    if hits and all(hit["close"] is False for hit in hits):
        print("nothing close was found; these are the nearest anyway", file=sys.stderr)
    for hit in hits:
        _print_hit(hit)


def _print_hit(hit: dict[str, Any]) -> None:
    """Print one line; for a segment of a long recording with its start."""
    start = hit.get("start_s")
    at = f"  at {int(start) // 60}:{int(start) % 60:02}" if start else ""
    above = "" if hit["close"] is None else f"{hit['deviations']:+.1f}σ"
    shown = f"({above})" if hit["close"] is False else f"{above} " if above else ""
    column = f"  {shown:>8}" if shown else ""
    line = f"{hit['rank']:3}  {hit['score']:+.3f}{column}  {hit['modality']:8} {hit['path']}{at}"
    print_line(line)


VERB = Verb(
    "Find files by text, images, sounds or any combination. Vectors are cached, so a second "
    "search embeds only new files.",
    add_arguments,
    run,
    is_short=lambda arguments: bool(arguments.index),
)
