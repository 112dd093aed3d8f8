"""`openbind models`: list the named spaces."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import Verb, print_json

if TYPE_CHECKING:
    from openbind.catalog import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """List the named spaces with their size, license and source."""
    from openbind.catalog import ENTRIES

    rows = [_row(entry) for entry in ENTRIES.values()]
    if arguments.json:
        print_json(rows)
        return 0
    for row in rows:
        state = "on disk" if row["on_disk"] else "to download" if row["bytes"] else "no weights"
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else "-"
        print(f"{row['name']:16}{state:13}{size:>10}  {row['dim']:>5} dimensions")
        print(f"{'':16}{', '.join(row['modalities'])}")
        print(f"{'':16}{row['source']}{'; ' if row['license'] else ''}{row['license']}")
    print("\nPaths of checkpoints and hf:organization/name load as well.")
    return 0


def _row(entry: Entry) -> dict[str, Any]:
    config = entry.config()
    path = entry.path()
    return {
        "name": entry.name,
        "modalities": list(config.modalities),
        "dim": config.dim,
        "bytes": entry.size_bytes(),
        "license": entry.license,
        "source": entry.source,
        "url": entry.url,
        "on_disk": entry.on_disk(),
        "path": str(path) if path is not None and entry.on_disk() else None,
    }


VERB = Verb("List the spaces that can be loaded by name.", add_arguments, run)
