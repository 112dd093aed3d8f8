"""`openbind locate`: where in images, and when in recordings, a query is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.query import add_query_arguments, note_languages, query_terms
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_set_argument,
    add_space_arguments,
    load_space,
    print_json,
    print_line,
    with_settings,
)
from openbind.errors import InputError, OpenbindError

if TYPE_CHECKING:
    from openbind.search.locating import Found

SHOWN = 5
"""Boxes and moments that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("paths", nargs="+", metavar="FILE", help="images, videos or sounds")
    add_query_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the heat map over the image, of a video over its best frame, of a sound the curve; "
        "of several files a folder",
    )
    parser.add_argument(
        "--modality", metavar="NAME", help="of the files (default: by their extensions)"
    )
    parser.add_argument("--method", default="auto", help="of images (docs/localisation.md)")
    parser.add_argument("--strict", action="store_true", help="fail if a file can't be used")
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the query, locate it in each file, print and draw."""
    from openbind.search.locating import locate_file
    from openbind.search.query import embed_query

    terms = query_terms(arguments)
    if not terms:
        raise InputError("the query", "no terms; add at least one, such as --audio dog.wav")
    targets = _targets(arguments)
    space = with_settings(load_space(arguments), arguments)
    note_languages(space.card, space.name, terms)
    query_E = embed_query(space, terms)
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for path, target in targets:
        try:
            found = locate_file(space, path, query_E, arguments.modality, arguments.method)
            rows.append(_finish(found, target, as_json=arguments.json))
        except OpenbindError as error:
            failures.append({"path": str(path), "reason": str(error)})
            print_line(f"skipped {error}", file=sys.stderr)
    if arguments.json:
        print_json({"results": rows, "skipped": failures})
    return 1 if not rows or (failures and arguments.strict) else 0


def _targets(arguments: argparse.Namespace) -> list[tuple[Path, Path | None]]:
    """Return each file with where its drawing goes.

    Raises:
        InputError: an output that isn't possible.
    """
    from openbind.generation.files import image_format

    paths, output = [Path(path) for path in arguments.paths], arguments.output
    if output is None:
        return [(path, None) for path in paths]
    if len(paths) == 1 and not output.is_dir():
        image_format(output)
        return [(paths[0], output)]
    if output.exists() and not output.is_dir():
        raise InputError(output, f"a file; expected a folder for {len(paths)} drawings")
    names = [f"{path.name}.png" for path in paths]
    if len(set(names)) < len(names):
        raise InputError(output, "two of the files have the same name; locate them one by one")
    return [(path, output / name) for path, name in zip(paths, names, strict=True)]


def _finish(found: Found, target: Path | None, *, as_json: bool) -> dict[str, Any]:
    """Write the drawing, print the lines, and return what JSON has."""
    from openbind.generation.files import write_image

    row = found.plain()
    if target is not None:
        write_image(found.draw(), target, f"where in {found.path.name} the query is")
        row["output"] = str(target)
    if not as_json:
        for line in _lines(row):
            print_line(line)
    return row


def _lines(row: dict[str, Any]) -> list[str]:
    """Describe where a query is: a line for the file, and one for each box or moment."""
    lines = [f"{row['path']}  {_verdict(row)}"]
    for track in row.get("tracks", []):
        for moment in track["moments"][:SHOWN]:
            span = f"{_clock(moment['start_s'])}–{_clock(moment['end_s'])}"
            lines.append(f"  {span:19} {moment['score']:+.3f}  {track['modality']}")
    for box in (row.get("where") or row).get("boxes", [])[:SHOWN]:
        corners = ", ".join(f"{box[side]:.0f}" for side in ("x0", "y0", "x1", "y1"))
        lines.append(f"  box {corners:15} {box['score']:+.3f}")
    return lines


def _verdict(row: dict[str, Any]) -> str:
    where = row.get("where") or row
    if "peak" not in where:
        return ""
    known = {True: "present", False: "not found", None: ""}[where["present"]]
    at = f" at {_clock(where['seconds'])}" if "seconds" in where else ""
    return f"{known}{at}  hottest at {where['peak'][0]}, {where['peak'][1]}".strip()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:05.2f}"


VERB = Verb(
    "Find where in images, and when in videos and sounds, a text, a sound, an image or any "
    "combination is. Prints boxes or moments, and draws heat maps.",
    add_arguments,
    run,
)
