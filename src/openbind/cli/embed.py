"""`openbind embed`: write the vectors of the files in folders to a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    space_source,
    with_settings,
)
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.embedding.many import Failure
    from openbind.embedding.scan import Summary

EXTENSIONS = (".parquet", ".npz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_library_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="with extension .parquet or .npz; written atomically",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: embed on a cluster, without the cache; FILE is a folder of Parquet files, and "
        "--workers the number of processes (default: one per GPU, or per two CPUs)",
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a cluster (default: one on this machine)"
    )
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed and write."""
    extension = arguments.output.suffix.lower()
    if extension not in EXTENSIONS:
        raise InputError(arguments.output, f"expected an extension of {', '.join(EXTENSIONS)}")
    if arguments.engine == "ray":
        return _run_on_ray(arguments)
    if arguments.ray_address is not None:
        raise InputError("--ray-address", "only with --engine ray")

    from openbind.search.adhoc import embed_paths
    from openbind.search.export import file_batch, write_npz, write_parquet

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
    if library.entries:
        write = write_parquet if extension == ".parquet" else write_npz
        write([file_batch(library.entries, library.vectors_KE)], arguments.output)
    return _report(arguments, len(library.entries), library.failures, library.summary)


def _run_on_ray(arguments: argparse.Namespace) -> int:
    """Embed on a cluster and write a folder of Parquet files."""
    from openbind.search.adhoc import find_files
    from openbind.search.cluster import embed_on_ray

    if arguments.output.suffix.lower() != ".parquet":
        raise InputError(arguments.output, "--engine ray writes Parquet: expected .parquet")
    if arguments.settings:
        raise InputError("--set", "only with --engine local; say the settings in --type")
    space = load_space(arguments)
    overrides = path_overrides(arguments)
    found = find_files(arguments.paths, arguments.modalities or space.modalities, overrides)
    outcome = embed_on_ray(
        space,
        space_source(arguments.space),
        found.entries,
        arguments.output,
        address=arguments.ray_address,
        progress=True,
        **compute_options(arguments),
    )
    modality_of = {str(entry.item): entry.modality for entry in found.entries}
    for failure in outcome.failures:
        modality = modality_of.get(failure.name)
        if modality is not None:
            found.summary.note_failed(modality, Path(failure.name))
    failures = (*found.failures, *outcome.failures)
    return _report(arguments, outcome.files, failures, found.summary)


def _report(
    arguments: argparse.Namespace, files: int, failures: Sequence[Failure], summary: Summary
) -> int:
    if files:
        what = "1 vector" if files == 1 else f"{files} vectors"
        print_line(f"{what} written to {arguments.output}", file=sys.stderr)
    if arguments.json:
        counts = {"files": files, "skipped": plain_failures(failures), "summary": summary.plain()}
        print_json({"output": str(arguments.output), **counts})
    report_failures(failures, summary)
    return exit_code(failures, files, arguments.strict)


VERB = Verb(
    "Embed the files in folders and write path, modality and unit vector of each to a file.",
    add_arguments,
    run,
)
