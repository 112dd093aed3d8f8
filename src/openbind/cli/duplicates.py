"""`openbind duplicates`: copies and near-duplicates among files, in groups."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from openbind.search.duplicates import Group

PAGE = (".html", ".htm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser)
    parser.add_argument(
        "--threshold",
        type=_cosine,
        metavar="COSINE",
        help="least cosine of near-duplicates, up to 1 (default: 0.85)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.html", help="write a page with thumbnails"
    )
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the files and print those that are duplicates of another."""
    output = arguments.output
    if output is not None and output.suffix.lower() not in PAGE:
        raise InputError(output, f"expected an extension of {', '.join(PAGE)}")

    from openbind.search.adhoc import embed_paths
    from openbind.search.duplicates import NEAR, find_duplicates
    from openbind.search.duplicates_page import write_duplicates

    space = load_space(arguments, modalities=arguments.modalities or None)
    library = embed_paths(
        with_settings(space, arguments),
        arguments.paths,
        modalities=arguments.modalities,
        overrides=path_overrides(arguments),
        cached=not arguments.no_cache,
        progress=True,
        **compute_options(arguments),
    )
    threshold = arguments.threshold or NEAR
    groups = find_duplicates(library.entries, library.vectors_KE, threshold)
    if output is not None:
        write_duplicates(groups, output)
    if arguments.json:
        rest = {"skipped": plain_failures(library.failures), "summary": library.summary.plain()}
        print_json({"groups": _plain(groups), "threshold": threshold, **_count(groups), **rest})
    else:
        _print(groups, output)
    report_failures(library.failures, library.summary)
    return exit_code(library.failures, len(library.entries), arguments.strict)


def _cosine(text: str) -> float:
    """Parse a number above 0, up to 1.

    Raises:
        argparse.ArgumentTypeError: anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, up to 1, found {text!r}")
    return value


def _count(groups: Sequence[Group]) -> dict[str, int]:
    """Return the numbers of copies and near-duplicates, and the bytes of the copies."""
    members = [member for group in groups for member in group.members]
    return {
        "copies": sum(group.copies for group in groups),
        "near": sum(group.near for group in groups),
        "copied_bytes": sum(member.size for member in members if member.is_copy),
    }


def _plain(groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [
        {
            "modality": group.modality,
            "files": [
                {
                    "path": str(member.path),
                    "size": member.size,
                    "copy": member.is_copy,
                    "cosine": round(member.cosine, 4),
                }
                for member in group.members
            ],
        }
        for group in groups
    ]


def _print(groups: Sequence[Group], output: Path | None) -> None:
    for group in groups:
        for place, member in enumerate(group.members):
            kind = "copy" if member.is_copy else f"{member.cosine:.3f}" if place else group.modality
            print_line(f"{kind:9}{member.size / 1e6:9,.2f} MB  {member.path}")
        print()
    counts = _count(groups)
    copied = f"{counts['copied_bytes'] / 1e6:,.1f} MB"
    found = f"copies: {counts['copies']:,} ({copied}), near-duplicates: {counts['near']:,}"
    print_line(f"groups: {len(groups):,}, {found}")
    if output is not None:
        print_line(f"page: {output}", file=sys.stderr)


VERB = Verb(
    "Find copies and near-duplicates among files: the same content, or nearly the same vector, as "
    "of resized, cropped or recolored images. The largest file of a group comes first.",
    add_arguments,
    run,
)
