"""`openbind index`: create, update, verify and export an index over folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_space_arguments,
    add_type_argument,
    check_device,
    compute_options,
    limit_items,
    load_space,
    plain_failures,
    print_json,
    print_line,
    report_failures,
    space_source,
    type_overrides,
)
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.search.index import Index
    from openbind.search.verify import Report
    from openbind.space.space import Space

LISTED = 10
"""Files of one kind of error that are printed; all of them with --json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> Any:
        description = f"{summary[0].upper()}{summary[1:]}."
        action = actions.add_parser(name, help=summary, description=description)
        action.set_defaults(act=run)
        if name != "create":
            described = (
                "its folder, the first of the folders it was created over, or s3://bucket/prefix"
            )
            action.add_argument("index", metavar="INDEX", help=described)
        return action

    create = add("create", _create, "create an index over folders and embed their files")
    create.add_argument("folders", nargs="+", metavar="FOLDER")
    create.add_argument(
        "--index-dir",
        "--at",
        metavar="DIR",
        help="of the index: a folder (default: .openbind in the first), or s3://bucket/prefix",
    )
    add_space_arguments(create)
    grow = add("add", _add, "add folders to an index and embed their files")
    grow.add_argument("folders", nargs="*", metavar="FOLDER")
    remove = add("remove", _remove, "remove folders from an index; their files stay")
    remove.add_argument("folders", nargs="+", metavar="FOLDER")
    update = add("update", _update, "embed new and changed files, remove rows of deleted ones")
    info = add("info", _info, "print the space, folders, counts and size of an index")
    verify = add("verify", _verify, "check that no row is missing, duplicated or out of date")
    verify.add_argument("--repair", action="store_true", help="embed again what is wrong")
    export = add("export", _export, "write an index to Parquet or to a Qdrant collection")
    export.add_argument("-o", "--output", type=Path, metavar="FILE.parquet")
    export.add_argument("--qdrant", metavar="URL", help="of a server, or a folder")
    export.add_argument("--collection", default="openbind", help="of Qdrant (default: openbind)")
    for action in (create, grow):
        add_type_argument(action)
    for action in (create, grow, update, verify):
        add_compute_arguments(action)
    for action in (grow, remove, update, info, verify):
        action.add_argument("--json", action="store_true", help="print JSON instead of a table")
    update.add_argument(
        "--allow-empty",
        action="store_true",
        help="delete rows even if a root now has no files",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the action."""
    code: int = arguments.act(arguments)
    return code


def _create(arguments: argparse.Namespace) -> int:
    from openbind.search.index import Index, default_folder
    from openbind.search.place import place_of

    space = load_space(arguments)
    source = space_source(arguments.space)
    place = place_of(arguments.index_dir or default_folder(arguments.folders))
    overrides = type_overrides(arguments, patterns=True)
    if place.exists():
        index = _same_index(str(place), arguments.folders, overrides)
    else:
        index = Index.create(
            str(place), space, arguments.folders, source=source, type_overrides=overrides
        )
    return _update_index(index, space, arguments)


def _same_index(folder: str, roots: Sequence[str], overrides: dict[str, str]) -> Index:
    """Open the index of an earlier `create` with the same arguments, to continue a killed one.

    Raises:
        InputError: its folders or type overrides differ.
    """
    from openbind.embedding.overrides import parse_type
    from openbind.search.index import Index

    index = Index.open(folder)
    meta = index.meta
    wanted = {Path(root).expanduser().absolute() for root in roots}
    known = {root.path for root in meta.roots}
    given = [parse_type(pattern, notation) for pattern, notation in overrides.items()]
    if wanted != known or given != list(meta.type_overrides):
        raise InputError(
            folder,
            f"has an index already, over {', '.join(map(str, sorted(known)))}; add folders with "
            "`openbind index add`, or create another index with --index-dir",
        )
    return index


def _add(arguments: argparse.Namespace) -> int:
    index, overrides = _open(arguments), type_overrides(arguments, patterns=True)
    if not (arguments.folders or overrides):
        raise InputError("index add", "give folders, or --type MODALITY=PATTERN, or both")
    index.add(arguments.folders, overrides)
    return _update_index(index, _load(index, arguments), arguments)


def _remove(arguments: argparse.Namespace) -> int:
    index = _open(arguments)
    rows = sum(index.remove(folder) for folder in arguments.folders)
    if arguments.json:
        print_json({"rows": rows})
    else:
        print(f"{rows} rows removed")
    return 0


def _update(arguments: argparse.Namespace) -> int:
    index = _open(arguments)
    return _update_index(index, _load(index, arguments), arguments)


def _load(index: Index, arguments: argparse.Namespace) -> Space:
    check_device(arguments.device)
    space = index.load_space(device=arguments.device, dtype=arguments.dtype)
    return limit_items(space, arguments)


def _update_index(index: Index, space: Space, arguments: argparse.Namespace) -> int:
    """Update and print what was done; files that can't be embedded don't change the exit code."""
    changes = index.update(
        space,
        allow_empty=getattr(arguments, "allow_empty", False),
        progress=True,
        **compute_options(arguments),
    )
    counts = {
        "embedded": changes.embedded,
        "moved": changes.moved,
        "copied": changes.copied,
        "removed": changes.removed,
        "unchanged": changes.unchanged,
    }
    if arguments.json and arguments.action != "verify":
        postponed = [str(path) for path in changes.postponed]
        details = {"postponed": postponed, "skipped": plain_failures(changes.failures)}
        summary = changes.summary.plain()
        print_json({"index": str(index.place), **counts, **details, "summary": summary})
    else:
        for path in changes.postponed:
            print_line(f"postponed {path}: it changed while it was read", file=sys.stderr)
        done = ", ".join(f"{count} {name}" for name, count in counts.items())
        print_line(f"{index.place}: {done}", file=sys.stderr if arguments.json else sys.stdout)
    report_failures(changes.failures, changes.summary)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from openbind.search.snapshot import describe_index, read_snapshot

    snapshot = read_snapshot(arguments.index)
    info = describe_index(_open(arguments)) if snapshot is None else snapshot.info
    if arguments.json:
        print_json({name: value for name, value in info.items() if name != "last_scan"})
        return 0
    print(f"space      {info['space']} ({info['dim']} dimensions, {info['fingerprint'][:8]})")
    for root in info["roots"]:
        print_line(f"root       {root}")
    for pattern, notation in info["type_overrides"].items():
        print_line(f"type       {notation}={pattern}")
    print(f"files      {info['files']:,} ({info['failed']:,} more could not be embedded)")
    for name, count in info["by_modality"].items():
        print(f"           {count:,} {name}")
    print(f"rows       {info['rows']:,}")
    print(f"on disk    {info['bytes'] / 1e6:,.1f} MB")
    print(f"search     {info['ann'] or 'exact'}")
    if info["last_scan"] is not None:
        print_line(f"last scan  {info['last_scan']}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    report = _verified(arguments)
    if arguments.json:
        print_json({**asdict(report), "clean": report.clean})
        return 0 if report.clean else 1
    for name, items in asdict(report).items():
        if isinstance(items, tuple):
            for item in items[:LISTED]:
                print_line(f"{name:10} {item}")
            if len(items) > LISTED:
                print(f"{name:10} and {len(items) - LISTED} more")
    print_line(str(report.summary), file=sys.stderr)
    state = "clean" if report.clean else "not clean; `--repair` embeds again what is wrong"
    print(f"{report.files:,} files, {report.rows:,} rows: {state}")
    return 0 if report.clean else 1


def _verified(arguments: argparse.Namespace) -> Report:
    """Verify, and with `--repair` embed again what is wrong; if the table can't be read, all."""
    from openbind.search.index import Index
    from openbind.search.table import DamagedTableError
    from openbind.search.verify import repair

    try:
        index = _open(arguments)
        report = index.verify(progress=True)
        if report.clean or not arguments.repair:
            return report
        repair(index, report)
    except DamagedTableError:
        if not arguments.repair:
            raise
        index = Index.reset(arguments.index)
    _update_index(index, _load(index, arguments), arguments)
    return index.verify(progress=True)


def _export(arguments: argparse.Namespace) -> int:
    from openbind.search.export import index_batches, write_parquet, write_qdrant

    if bool(arguments.output) == bool(arguments.qdrant):
        raise InputError("index export", "give either -o FILE.parquet or --qdrant URL")
    index = _open(arguments)
    if arguments.output:
        rows, target = write_parquet(index_batches(index), arguments.output), arguments.output
    else:
        dim = index.table.dim
        rows = write_qdrant(index_batches(index), arguments.qdrant, arguments.collection, dim)
        target = f"{arguments.collection} of {arguments.qdrant}"
    print(f"{rows} rows written to {target}")
    return 0


def _open(arguments: argparse.Namespace) -> Index:
    from openbind.search.index import Index

    return Index.open(arguments.index)


VERB = Verb(
    "Build and update a search index over folders. Only new and changed files are embedded; files "
    "are identified by their content.",
    add_arguments,
    run,
)
