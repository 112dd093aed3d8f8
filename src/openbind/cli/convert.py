"""`openbind convert`: write a checkpoint of any known format in openbind's own."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from openbind.cli.verb import Verb
from openbind.errors import InputError

DTYPES = ("float32", "bfloat16", "float16", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("source", metavar="SOURCE", help="name, path, or hf:organization/name")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIRECTORY", help="output directory"
    )
    parser.add_argument(
        "--hint",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the checkpoint's format doesn't state: heads.TOWER=N for other sizes of "
        "ImageBind and OpenCLIP, activation=quick_gelu for OpenAI's weights; repeatable",
    )
    parser.add_argument("--modalities", metavar="NAME,…", help="convert only these modalities")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="precision of the stored weights (default: the source's)"
    )
    parser.add_argument(
        "--accept-license", action="store_true", help="accept the license of downloaded weights"
    )


def run(arguments: argparse.Namespace) -> int:
    """Load the source and write it."""
    hints = parse_hints(arguments.hint)
    chosen = arguments.modalities.split(",") if arguments.modalities else None

    import torch

    from openbind.catalog import find
    from openbind.checkpoints import native
    from openbind.checkpoints.formats import Listing, detect, load_checkpoint
    from openbind.space.quantizing import quantize_space

    path = find(arguments.source, modalities=chosen, accept_license=arguments.accept_license)
    space = load_checkpoint(path, modalities=chosen, **hints)
    listing = Listing(path)
    # Without a stated precision the machine that loads the space chooses one.
    space.config = replace(space.config, dtype=detect(listing).dtype(listing))
    if arguments.dtype == "int8":
        space, stored = quantize_space(space), None
    else:
        stored = getattr(torch, arguments.dtype) if arguments.dtype else None
    native.save(space, arguments.output, dtype=stored)
    size = sum(file.stat().st_size for file in arguments.output.iterdir())
    print(f"{arguments.output}: {', '.join(space.modalities)}; {size / 1e6:,.1f} MB")
    return 0


def parse_hints(given: Iterable[str]) -> dict[str, Any]:
    """Parse hints: ["heads.vision=16", "activation=gelu"] → nested dictionary, integers as such.

    Raises:
        InputError: not NAME=VALUE.
    """
    hints: dict[str, Any] = {}
    for hint in given:
        name, _, value = hint.partition("=")
        *parents, last = name.strip().split(".")
        if not value.strip() or not all([*parents, last]):
            raise InputError(f"--hint {hint}", "expected NAME=VALUE or NAME.KEY=VALUE")
        target = hints
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise InputError(f"--hint {hint}", f"{parent} already has a value")
        target[last] = int(value) if value.strip().isdecimal() else value.strip()
    return hints


VERB = Verb("Convert a checkpoint to openbind's own format.", add_arguments, run)
