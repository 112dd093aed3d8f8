"""What a verb is, and the options that several verbs share."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from openbind.errors import InputError, printable
from openbind.limits import COMMAND_LINE, parse_limits

if TYPE_CHECKING:
    from openbind.embedding.many import ComputeOptions, Failure
    from openbind.embedding.overrides import TypeOverride
    from openbind.embedding.scan import Summary
    from openbind.space.space import Space

DEFAULT_SPACE = "starter"
TYPE = re.compile(r"(?P<notation>\w+(?:\([^()]*\))?)(?:=(?P<pattern>.+))?", re.DOTALL)
"""Of `--type`: what files are, and the pattern of their paths."""
DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Args:
        description: for its help; the first sentence is its summary in `openbind --help`.
        add_arguments: adds its arguments to a parser.
        run: runs it and returns the exit code.
        is_short: whether arguments ask for a few items only, see `openbind.cli.short`.
    """

    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    is_short: Callable[[argparse.Namespace], bool] = lambda _: False


def add_space_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every verb that loads a space: `--space --json`."""
    described = f"name or directory (default: {DEFAULT_SPACE})"
    parser.add_argument("--space", default=DEFAULT_SPACE, help=described)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_compute_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--device --dtype --batch-size --workers --limit`, for every verb that embeds."""
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
        "--workers", type=positive, metavar="N", help="decoders ahead of the towers (default: 2–8)"
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="what a file may take at most, such as seconds=7200; may be repeated",
    )


def compute_options(arguments: argparse.Namespace) -> ComputeOptions:
    """Return `--batch-size` and `--workers` as keywords of `embed_many`.

    The device isn't among them: `load_space` has put the space there.
    """
    return {"batch_size": arguments.batch_size, "workers": arguments.workers}


def positive(text: str) -> int:
    """Parse an integer of at least 1.

    Raises:
        argparse.ArgumentTypeError: anything else.
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
    space = load(name, modalities=modalities, device=arguments.device, dtype=arguments.dtype)
    return limit_items(space, arguments)


def limit_items(space: Space, arguments: argparse.Namespace) -> Space:
    """Return a space with the limits of the command line, and what `--limit` changes.

    Raises:
        ConfigError: no such limit, or no positive number.
    """
    return space.with_limits(parse_limits(arguments.limit, COMMAND_LINE))


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
    """Return a space's name, or its directory as an absolute path, for use in other processes."""
    path = Path(given).expanduser()
    return str(path.absolute()) if path.exists() else given


def add_library_arguments(parser: argparse.ArgumentParser, paths: str = "+") -> None:
    """Add the options of verbs that read folders; `paths` is argparse's `nargs` of the paths."""
    parser.add_argument("paths", nargs=paths, metavar="PATH", help="folder or file")
    parser.add_argument("--strict", action="store_true", help="fail if a file can't be embedded")
    parser.add_argument("--no-cache", action="store_true", help="don't read or write the cache")
    parser.add_argument(
        "--modalities",
        type=comma_separated,
        default=(),
        metavar="MODALITY,…",
        help="comma-separated (default: all of the space)",
    )
    add_type_argument(parser)


def add_type_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--type`: what files are whose extension doesn't determine it, and how they are read."""
    parser.add_argument(
        "--type",
        dest="type_overrides",
        action="append",
        default=[],
        metavar="MODALITY=PATTERN",
        help="modality of files whose extension doesn't determine it, as depth='scans/*', if need "
        "be with settings of its preprocessing, as 'depth(units=5000)=tum/*.png'; the pattern is "
        "matched with paths below the folders, and * matches / too; may be repeated",
    )


def type_overrides(arguments: argparse.Namespace, *, patterns: bool) -> dict[str, str]:
    """Return pattern → type of `--type`.

    Args:
        arguments: parsed.
        patterns: require them; otherwise a type without one is that of all files.

    Raises:
        InputError: another form.
    """
    found = {}
    for given in arguments.type_overrides:
        match = TYPE.fullmatch(given)
        if match is None or (patterns and not match["pattern"]):
            expected = "expected MODALITY=PATTERN or 'MODALITY(SETTING=VALUE,…)=PATTERN'"
            raise InputError(f"--type {given}", expected)
        found[match["pattern"] or "*"] = match["notation"]
    return found


def path_overrides(arguments: argparse.Namespace) -> list[TypeOverride]:
    """Return `--type` as `scan` takes it."""
    from openbind.embedding.overrides import parse_type

    given = type_overrides(arguments, patterns=False)
    return [parse_type(pattern, notation) for pattern, notation in given.items()]


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--set`: settings of a modality's preprocessing, for all of its items."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="MODALITY.SETTING=VALUE",
        help="setting of a modality's preprocessing, as depth.units=5000 (counts per metre) or "
        "depth.units=kitti; may be repeated",
    )


def with_settings(space: Space, arguments: argparse.Namespace) -> Space:
    """Return a space with the settings of `--set`.

    Raises:
        InputError: another form.
        UnknownNameError, ConfigError: no such modality or setting, or a wrong value.
    """
    from openbind.embedding.overrides import parse_settings

    for given in arguments.settings:
        modality, dot, assignment = given.partition(".")
        if not (modality and dot):
            raise InputError(f"--set {given}", "expected MODALITY.SETTING=VALUE")
        space = space.with_settings(modality, **parse_settings(assignment))
    return space


def comma_separated(text: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty parts are dropped."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def plain_failures(failures: Iterable[Failure]) -> list[dict[str, str]]:
    """Return failures as values for JSON."""
    return [{"path": failure.name, "reason": failure.reason} for failure in failures]


def report_failures(failures: Sequence[Failure], summary: Summary) -> None:
    """Print to stderr which files were skipped and why, and one line about all files."""
    for failure in failures:
        print_line(f"skipped {failure.name}: {failure.reason}", file=sys.stderr)
    print_line(str(summary), file=sys.stderr)


def exit_code(failures: Sequence[Failure], done: int, strict: bool) -> int:
    """Return 1 if files were skipped and `strict`, or if no file was embedded; 0 otherwise."""
    return 1 if not done or (failures and strict) else 0


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print one line; control characters in names of files are escaped."""
    print(printable(text), file=file)


def print_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=1))
