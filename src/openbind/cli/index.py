"""`openbind index`: make an index over folders, keep it up, prove it, write it for others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import Verb, add_space_arguments, print_json, space_source
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.search.index import Index
    from openbind.space.space import Space

LISTED = 10
"""Files of one kind of trouble that are named unless JSON is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, run: Callable[[argparse.Namespace], int], told: str) -> Any:
        action = actions.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        action.set_defaults(act=run)
        return action

    create = add("create", _create, "make an index over folders and embed their files")
    create.add_argument("folders", nargs="+", metavar="FOLDER")
    create.add_argument(
        "--index-dir", "--at", metavar="DIR", help="of the index (default: .openbind in the first)"
    )
    add_space_arguments(create)
    grow = add("add", _add, "take more folders in")
    _take_index(grow)
    grow.add_argument("folders", nargs="*", metavar="FOLDER")
    for action in (create, grow):
        action.add_argument(
            "--type",
            dest="type_overrides",
            action="append",
            default=[],
            metavar="MODALITY=PATTERN",
            help="what files are read as whose extension doesn't say it, as in depth='scans/*'; "
            "the pattern is of paths below the folders, and * spans folders too",
        )
    remove = add("remove", _remove, "take folders out; files stay where they are")
    _take_index(remove)
    remove.add_argument("folders", nargs="+", metavar="FOLDER")
    bring_up = add("update", _update, "embed what is new or changed, forget what is gone")
    _take_index(bring_up)
    bring_up.add_argument(
        "--allow-empty",
        action="store_true",
        help="delete rows even if a root now has no files",
    )
    _take_index(add("info", _info, "say what is in it"))
    verify = add("verify", _verify, "prove that nothing is lost, doubled or out of date")
    _take_index(verify)
    verify.add_argument("--repair", action="store_true", help="re-embed what is wrong")
    export = add("export", _export, "write it as Parquet, or into a Qdrant collection")
    _take_index(export)
    export.add_argument("-o", "--output", type=Path, metavar="FILE.parquet")
    export.add_argument("--qdrant", metavar="URL", help="of a server, or a folder")
    export.add_argument("--collection", default="openbind", help="of Qdrant (default: openbind)")
    for action in (grow, remove, *(actions.choices[n] for n in ("update", "info", "verify"))):
        action.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    code: int = arguments.act(arguments)
    return code


def _take_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="its folder, or the media's it is kept in")


def _create(arguments: argparse.Namespace) -> int:
    from openbind.catalog import load
    from openbind.search.index import Index, default_folder
    from openbind.search.meta import has_meta

    space = load(arguments.space)
    source = space_source(arguments.space)
    folder = Path(arguments.index_dir) if arguments.index_dir else default_folder(arguments.folders)
    type_overrides = _type_overrides(arguments)
    if has_meta(folder):
        index = _same_index(folder, arguments.folders, type_overrides)
    else:
        index = Index.create(
            folder, space, arguments.folders, source=source, type_overrides=type_overrides
        )
    return _bring_up(index, space, arguments.json)


def _same_index(folder: Path, roots: Sequence[str], type_overrides: dict[str, str]) -> Index:
    """Open what an earlier `create` of the same began, so that a killed one goes on.

    Raises:
        InputError: it is of other folders, or reads them otherwise.
    """
    from openbind.search.index import Index

    index = Index.open(folder)
    meta = index.meta
    wanted = {Path(root).expanduser().absolute() for root in roots}
    known = {root.path for root in meta.roots}
    indexed = {override.pattern: override.modality for override in meta.type_overrides}
    if wanted != known or type_overrides != indexed:
        raise InputError(
            folder,
            f"has an index already, over {', '.join(map(str, sorted(known)))}; "
            "`openbind index add` takes more in, `update` keeps it up, --index-dir makes another",
        )
    return index


def _type_overrides(arguments: argparse.Namespace) -> dict[str, str]:
    """Return pattern → modality of `--as`."""
    found = {}
    for given in arguments.type_overrides:
        modality, equals, pattern = given.partition("=")
        if not (modality and equals and pattern):
            raise InputError(f"--type {given}", "expected MODALITY=PATTERN")
        found[pattern] = modality
    return found


def _add(arguments: argparse.Namespace) -> int:
    index, type_overrides = _open(arguments), _type_overrides(arguments)
    if not (arguments.folders or type_overrides):
        raise InputError("index add", "give folders, or --type MODALITY=PATTERN, or both")
    index.add(arguments.folders, type_overrides)
    return _bring_up(index, index.load_space(), arguments.json)


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
    return _bring_up(index, index.load_space(), arguments.json, arguments.allow_empty)


def _bring_up(index: Index, space: Space, as_json: bool, allow_empty: bool = False) -> int:
    """Update and tell what was done; files that can't be used don't make it a failure."""
    changes = index.update(space, allow_empty=allow_empty, progress=True)
    skipped = [{"path": str(f.path), "reason": f.reason} for f in changes.failures]
    counts = {
        "embedded": changes.embedded,
        "moved": changes.moved,
        "removed": changes.removed,
        "unchanged": changes.unchanged,
    }
    if as_json:
        postponed = [str(path) for path in changes.postponed]
        print_json(
            {"index": str(index.folder), **counts, "postponed": postponed, "skipped": skipped}
        )
        return 0
    for failure in skipped:
        print(f"skipped {failure['path']}: {failure['reason']}", file=sys.stderr)
    for path in changes.postponed:
        print(f"postponed {path}: it changed while it was read", file=sys.stderr)
    print(f"{index.folder}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


def _info(arguments: argparse.Namespace) -> int:
    info = _open(arguments).info()
    if arguments.json:
        print_json({**asdict(info), "roots": [str(root) for root in info.roots]})
        return 0
    print(f"space      {info.space} ({info.dim} dimensions, {info.fingerprint[:8]})")
    for root in info.roots:
        print(f"root       {root}")
    print(f"files      {info.files:,} ({info.failed:,} more could not be used)")
    for name, count in info.by_modality.items():
        print(f"           {count:,} {name}")
    print(f"rows       {info.rows:,}")
    print(f"on disk    {info.bytes / 1e6:,.1f} MB")
    print(f"search     {info.ann or 'exact'}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from openbind.search.verify import repair

    index = _open(arguments)
    report = index.verify(progress=True)
    if arguments.repair and not report.clean:
        repair(index, report)
        _bring_up(index, index.load_space(), as_json=False)
        report = index.verify(progress=True)
    wrong = {name: value for name, value in asdict(report).items() if isinstance(value, tuple)}
    if arguments.json:
        print_json({**asdict(report), "clean": report.clean})
        return 0 if report.clean else 1
    for name, items in wrong.items():
        for item in items[:LISTED]:
            print(f"{name:8} {item}")
        if len(items) > LISTED:
            print(f"{name:8} and {len(items) - LISTED} more")
    state = "clean" if report.clean else "not clean; `--repair` re-embeds what is wrong"
    print(f"{report.files:,} files, {report.rows:,} rows: {state}")
    return 0 if report.clean else 1


def _export(arguments: argparse.Namespace) -> int:
    from openbind.search.export import write_parquet, write_qdrant

    if bool(arguments.output) == bool(arguments.qdrant):
        raise InputError("index export", "say where to: -o FILE.parquet, or --qdrant URL")
    index = _open(arguments)
    if arguments.output:
        rows, place = write_parquet(index, arguments.output), str(arguments.output)
    else:
        rows = write_qdrant(index, arguments.qdrant, arguments.collection)
        place = f"{arguments.collection} of {arguments.qdrant}"
    print(f"{rows} rows written to {place}")
    return 0


def _open(arguments: argparse.Namespace) -> Index:
    from openbind.search.index import Index

    return Index.open(arguments.index)


VERB = Verb(
    "Make an index over folders, so that search is at once, and keep it up: only new and changed "
    "files are embedded, told by their content.",
    add_arguments,
    run,
)
