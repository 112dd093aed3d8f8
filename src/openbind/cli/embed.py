"""`openbind embed`: write the vectors of the files in folders to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from openbind.cli.verb import (
    Verb,
    add_library_arguments,
    add_space_arguments,
    embed_places,
    print_json,
    report_failures,
)
from openbind.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="ends in .parquet or .npz; written whole or not at all",
    )
    add_space_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed and write."""
    from openbind.search.export import WRITERS

    ending = arguments.output.suffix.lower()
    if ending not in WRITERS:
        raise InputError(arguments.output, f"expected an ending of {', '.join(WRITERS)}")

    from openbind.catalog import load

    library = embed_places(load(arguments.space), arguments)
    if library.entries:
        WRITERS[ending](library, arguments.output)
        print(f"{len(library.entries)} vectors written to {arguments.output}", file=sys.stderr)
    if arguments.json:
        skipped = [{"path": str(f.path), "reason": f.reason} for f in library.failures]
        print_json(
            {"output": str(arguments.output), "files": len(library.entries), "skipped": skipped}
        )
    return report_failures(library.failures, len(library.entries), arguments.strict)


VERB = Verb(
    "Embed the files in folders and write path, modality and unit vector of each to a file.",
    add_arguments,
    run,
)
