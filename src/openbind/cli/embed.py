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
    list_places,
    print_json,
    report_failures,
    space_source,
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
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray embeds on a cluster, without the cache, and makes FILE a folder of Parquet parts",
    )
    parser.add_argument("--workers", type=int, help="of ray (default: one a GPU or two CPUs)")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a cluster (default: one on this machine)"
    )
    add_space_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed and write."""
    from openbind.search.library_export import WRITERS

    extension = arguments.output.suffix.lower()
    if extension not in WRITERS:
        raise InputError(arguments.output, f"expected an extension of {', '.join(WRITERS)}")

    if arguments.engine == "ray":
        return _run_on_ray(arguments)
    for name in ("workers", "ray_address"):
        if getattr(arguments, name) is not None:
            raise InputError(f"--{name.replace('_', '-')}", "is of --engine ray")

    from openbind.catalog import load

    library = embed_places(load(arguments.space), arguments)
    if library.entries:
        WRITERS[extension](library, arguments.output)
        print(f"{len(library.entries)} vectors written to {arguments.output}", file=sys.stderr)
    if arguments.json:
        skipped = [{"path": str(f.path), "reason": f.reason} for f in library.failures]
        print_json(
            {"output": str(arguments.output), "files": len(library.entries), "skipped": skipped}
        )
    return report_failures(library.failures, len(library.entries), arguments.strict)


def _run_on_ray(arguments: argparse.Namespace) -> int:
    """Embed on a cluster and write a folder of parts."""
    from openbind.catalog import load
    from openbind.search.cluster import embed_on_ray

    if arguments.output.suffix.lower() != ".parquet":
        raise InputError(arguments.output, "--engine ray writes Parquet: expected .parquet")
    space = load(arguments.space)
    outcome = embed_on_ray(
        space,
        space_source(arguments.space),
        list_places(space, arguments),
        arguments.output,
        workers=arguments.workers,
        address=arguments.ray_address,
        progress=True,
    )
    print(f"{outcome.files} vectors written to {arguments.output}", file=sys.stderr)
    if arguments.json:
        skipped = [{"path": str(f.path), "reason": f.reason} for f in outcome.failures]
        print_json({"output": str(arguments.output), "files": outcome.files, "skipped": skipped})
    return report_failures(outcome.failures, outcome.files, arguments.strict)


VERB = Verb(
    "Embed the files in folders and write path, modality and unit vector of each to a file.",
    add_arguments,
    run,
)
