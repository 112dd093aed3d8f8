"""What a verb is, and the options that several verbs share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.errors import InputError
from openbind.modalities import MODALITIES

if TYPE_CHECKING:
    from openbind.search.adhoc import Entry, Failure, Library
    from openbind.search.query import Part


DEFAULT_SPACE = "starter"


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Args:
        description: a sentence for its help.
        add_arguments: gives a parser its arguments.
        run: does it and returns the exit code.
    """

    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_space_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every verb that loads a space."""
    told = f"name or directory (default: {DEFAULT_SPACE})"
    parser.add_argument("--space", default=DEFAULT_SPACE, help=told)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def space_source(given: str) -> str:
    """Name a space for runs that are started elsewhere: a directory by its whole path."""
    place = Path(given).expanduser()
    return str(place.absolute()) if place.exists() else given


def add_library_arguments(parser: argparse.ArgumentParser, places: str = "+") -> None:
    """Add the options of the verbs that read whole folders; `places` says how many they take."""
    parser.add_argument("places", nargs=places, metavar="PLACE", help="folder or file")
    parser.add_argument("--strict", action="store_true", help="fail if a file can't be used")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep vectors")
    parser.add_argument(
        "--only", metavar="MODALITY,…", help="read only these modalities (default: all there are)"
    )


def add_part_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one repeatable option for each modality: `--text "a dog" --image dog.jpg`."""
    for name in MODALITIES.names():
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="ITEM", help="can be repeated"
        )


def query_parts(arguments: argparse.Namespace, weights: dict[str, float]) -> list[Part]:
    """Collect the parts of a query from the options of `add_part_arguments`."""
    from openbind.search.query import Part

    return [
        Part(name, item, weights.get(name, 1.0))
        for name in MODALITIES.names()
        for item in getattr(arguments, name)
    ]


def parse_weights(given: Sequence[str]) -> dict[str, float]:
    """Read `image=0.3` pairs.

    Raises:
        InputError: not a modality, or not a number.
    """
    weights = {}
    for pair in given:
        name, _, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise InputError(f"--weight {pair}", "expected MODALITY=NUMBER") from None
        if name not in MODALITIES.names():
            raise InputError(f"--weight {pair}", f"no modality named {name!r}")
    return weights


def embed_places(space: Any, arguments: argparse.Namespace) -> Library:
    """Scan and embed the folders of `add_library_arguments`, with a bar and the cache.

    Raises:
        InputError: a place doesn't exist, or nothing in them can be embedded.
    """
    from openbind.embedding.cache import VectorCache
    from openbind.search.adhoc import embed_files

    entries = list_places(space, arguments)
    if arguments.no_cache:
        return embed_files(space, entries, None, progress=True)
    with VectorCache() as cache:
        return embed_files(space, entries, cache, progress=True)


def list_places(space: Any, arguments: argparse.Namespace) -> Sequence[Entry]:
    """Scan the folders of `add_library_arguments`.

    Raises:
        InputError: a place doesn't exist, or nothing in them can be embedded.
    """
    from openbind.search.adhoc import scan

    chosen = arguments.only.split(",") if arguments.only else list(space.modalities)
    listing = scan(arguments.places, chosen)
    if not listing.entries:
        raise InputError(
            ", ".join(arguments.places),
            f"no files of {' or '.join(chosen)} here ({listing.others} of other kinds)",
        )
    return listing.entries


def report_failures(failures: Sequence[Failure], done: int, strict: bool) -> int:
    """Say on stderr which files were skipped and why, with the count at the end.

    Returns:
        the exit code: 1 if files were skipped and `strict`, or if nothing was done.
    """
    for failure in failures:
        print(f"skipped {failure.path}: {failure.reason}", file=sys.stderr)
    if failures:
        print(f"{done} files embedded, {len(failures)} skipped", file=sys.stderr)
    return 1 if not done or (failures and strict) else 0


def print_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=1))
