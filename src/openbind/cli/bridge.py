"""`openbind bridge`: fit a linear map from the image vectors of one space to another's."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    compute_options,
    load_space,
    positive,
    print_json,
    print_line,
    report_failures,
)
from openbind.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("source", metavar="A", help="space to lead from: a name or a directory")
    parser.add_argument("target", metavar="B", help="space to lead to, such as a decoder's encoder")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="folders of images, or images: thousands are best"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the bridge to write (.safetensors)",
    )
    parser.add_argument(
        "--max-images", type=positive, metavar="N", help="use at most so many (default: all)"
    )
    parser.add_argument("--no-cache", action="store_true", help="don't read or write the cache")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed the images in both spaces, fit, and write."""
    if arguments.output.suffix.lower() != ".safetensors":
        raise InputError(arguments.output, "expected the extension .safetensors")
    from openbind.evaluation.decoders import measure_norm, space_families
    from openbind.generation.bridge import Bridge, BridgeInfo, fit_bridge
    from openbind.modalities import IMAGE

    spaces = [
        load_space(arguments, name, modalities=[IMAGE])
        for name in (arguments.source, arguments.target)
    ]
    items, (a_NE, b_ND) = _embed(arguments, spaces)
    fit = fit_bridge(a_NE, b_ND)
    info = BridgeInfo(
        source=spaces[0].identity(IMAGE),
        target=spaces[1].identity(IMAGE),
        source_name=spaces[0].name,
        target_name=spaces[1].name,
        family="".join(space_families(spaces[1])[:1]),
        norm=measure_norm(spaces[1], [item for item in items if isinstance(item, Path)] or None),
        strength=fit.strength,
        images=len(items),
        held_out=fit.held_out,
        cosine=fit.cosine,
        recall_at_1=fit.recall_at_1,
        chance=1 / fit.held_out,
    )
    Bridge(weight_ED=fit.weight_ED, bias_D=fit.bias_D, info=info).save(arguments.output)
    if arguments.json:
        print_json({"output": str(arguments.output), **asdict(info)})
        return 0
    print_line(f"{arguments.output}: {info.source_name} → {info.target_name}, {info.images} images")
    print_line(
        f"on {info.held_out} held out: cosine {info.cosine:.3f}, R@1 {info.recall_at_1:.2f} "
        f"(chance {info.chance:.3f}), strength {info.strength:g}"
    )
    family = info.family or "no public decoder known here"
    print_line(f"leads to {family}; length of raw vectors {info.norm:.1f}")
    return 0


def _embed(arguments: argparse.Namespace, spaces: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the images that both spaces embed, and their vectors in each, row by row."""
    from openbind.modalities import IMAGE
    from openbind.search.adhoc import embed_paths, find_files

    paths = arguments.paths
    if arguments.max_images:
        found = find_files(paths, [IMAGE]).entries[: arguments.max_images]
        paths = [str(entry.item) for entry in found]
    libraries = [
        embed_paths(
            space,
            paths,
            modalities=[IMAGE],
            cached=not arguments.no_cache,
            progress=True,
            **compute_options(arguments),
        )
        for space in spaces
    ]
    report_failures(libraries[0].failures, libraries[0].summary)
    rows = [{str(e.item): at for at, e in enumerate(lib.entries)} for lib in libraries]
    shared = [name for name in rows[0] if name in rows[1]]
    if len(shared) < len(rows[0]):
        print_line(f"{len(rows[0]) - len(shared)} images by one space alone", file=sys.stderr)
    vectors = [
        library.vectors_KE[[own[name] for name in shared]]
        for library, own in zip(libraries, rows, strict=True)
    ]
    return [libraries[0].entries[rows[0][name]].item for name in shared], vectors


VERB = Verb(
    "Fit a linear map between the image vectors of two spaces, so that a large decoder of one "
    "draws what the other embeds. Reports how well it does on images that it wasn't fitted to.",
    add_arguments,
    run,
)
