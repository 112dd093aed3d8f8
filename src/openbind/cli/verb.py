"""What a verb is, and the options that several verbs share."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.errors import InputError
from openbind.modalities import MODALITIES

if TYPE_CHECKING:
    from openbind.search.adhoc import Entry, Failure, Library
    from openbind.search.query import Term
    from openbind.space.space import Space


DEFAULT_SPACE = "starter"
DTYPES = ("auto", "float32", "bfloat16", "float16")


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


def add_compute_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every verb that embeds: `--device --dtype --batch-size --workers`."""
    parser.add_argument("--device", default="auto", help="cpu, cuda, … (default: a GPU if any)")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="precision of the towers (default: the space's, else the device's fastest)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="clips per batch (default: by device and modality)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="decoders ahead of the towers (default: cores)",
    )


def positive(text: str) -> int:
    """Parse an integer of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, found {text!r}")
    return int(text)


def load_space(
    arguments: argparse.Namespace,
    source: str | None = None,
    modalities: Iterable[str] | None = None,
) -> Space:
    """Load a space with the options of `add_compute_arguments`.

    Args:
        arguments: parsed.
        source: name or directory; None takes `--space`.
        modalities: load only the towers these need; None loads all.

    Raises:
        InputError: the device doesn't exist.
        UnknownNameError, CheckpointError: as `openbind.load`.
    """
    from openbind.catalog import load

    check_device(arguments.device)
    name = source or arguments.space or DEFAULT_SPACE
    return load(name, modalities=modalities, device=arguments.device, dtype=arguments.dtype)


def check_device(device: str) -> None:
    """Check that a device exists.

    Raises:
        InputError: it doesn't.
    """
    import torch

    try:
        torch.empty(0, device="cpu" if device == "auto" else device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device}", f"no such device here ({reason})") from error


def space_source(given: str) -> str:
    """Name a space for runs that are started elsewhere: a directory by its whole path."""
    place = Path(given).expanduser()
    return str(place.absolute()) if place.exists() else given


def add_library_arguments(parser: argparse.ArgumentParser, places: str = "+") -> None:
    """Add the options of the verbs that read whole folders; `places` says how many they take."""
    parser.add_argument("places", nargs=places, metavar="PATH", help="folder or file")
    parser.add_argument("--strict", action="store_true", help="fail if a file can't be used")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep vectors")
    parser.add_argument(
        "--modalities", metavar="MODALITY,…", help="comma-separated (default: all of the space)"
    )


def add_part_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one repeatable option for each modality: `--text "a dog" --image dog.jpg`."""
    for name in MODALITIES.names():
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="ITEM", help="can be repeated"
        )


def query_parts(arguments: argparse.Namespace, weights: dict[str, float]) -> list[Term]:
    """Collect the parts of a query from the options of `add_part_arguments`."""
    from openbind.search.query import Term

    return [
        Term(name, item, weights.get(name, 1.0))
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
            weights[name] = math.nan
        if not math.isfinite(weights[name]):
            raise InputError(f"--weight {pair}", "expected MODALITY=NUMBER")
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

    chosen = arguments.modalities.split(",") if arguments.modalities else list(space.modalities)
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
