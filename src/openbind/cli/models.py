"""`openbind models`: list the named spaces."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import Verb, print_json

if TYPE_CHECKING:
    from openbind.catalog import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "--all",
        action="store_true",
        help="also models of others with short names, permissive first",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """List the named spaces with their size, language, license, and what they were learned from."""
    from openbind.catalog import ENTRIES
    from openbind.space.card import is_permissive
    from openbind.space.language import name_languages

    rows = [_row(entry) for entry in ENTRIES.values()]
    if arguments.all:
        rows = sorted([*rows, *_anchor_rows()], key=lambda row: not is_permissive(row["license"]))
    if arguments.json:
        print_json(rows)
        return 0
    width = max(len(row["name"]) for row in rows) + 2
    for row in rows:
        state = "on disk" if row["on_disk"] else "to download" if row["bytes"] else "no weights"
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else "-"
        print(f"{row['name']:{width}}{state:13}{size:>10}  {row['dim']:>5} dimensions")
        print(f"{'':{width}}{', '.join(row['modalities'])}")
        print(f"{'':{width}}{row['source']}{'; ' if row['license'] else ''}{row['license']}")
        if row["languages"]:
            print(f"{'':{width}}texts in {name_languages(row['languages'])} only")
        for source in row["sources"]:
            print(f"{'':{width + 2}}{source['name']}: {source['use']}; {source['license']}")
    print("\nPaths of checkpoints, hf:organization/name and st:organization/name load as well.")
    return 0


def _anchor_rows() -> list[dict[str, Any]]:
    from openbind.checkpoints.anchors import ANCHORS

    return [
        {
            "name": anchor.name,
            "modalities": list(anchor.modalities),
            "dim": anchor.dim,
            "bytes": 4 * anchor.parameters,
            "license": anchor.license,
            "languages": [],
            "source": f"{anchor.reference} ({anchor.advice})",
            "sources": [],
            "url": anchor.reference,
            "on_disk": False,
            "path": None,
        }
        for anchor in ANCHORS.values()
    ]


def _row(entry: Entry) -> dict[str, Any]:
    from openbind.checkpoints import native
    from openbind.space.card import Card

    config = entry.config()
    path = entry.path()
    card = native.read_card(path) if path is not None and path.is_dir() else Card()
    return {
        "name": entry.name,
        "modalities": list(config.modalities),
        "dim": config.dim,
        "bytes": entry.size_bytes(),
        "license": entry.license,
        "languages": list(card.languages),
        "source": entry.source,
        "sources": [
            {"name": s.name, "use": s.use, "license": s.license, "origin": s.origin}
            for s in card.sources
        ],
        "url": entry.url,
        "on_disk": entry.on_disk(),
        "path": str(path) if path is not None and entry.on_disk() else None,
    }


VERB = Verb("List the spaces that can be loaded by name.", add_arguments, run)
