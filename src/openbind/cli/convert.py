"""`openbind convert`: weights of other projects become a directory of openbind's own format."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from openbind.cli.verb import Verb
from openbind.errors import InputError

DTYPES = ("float32", "bfloat16", "float16")
ACTIVATIONS = ("gelu", "quick_gelu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("source", metavar="SOURCE", help="name, file, directory or hub id")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIRECTORY", help="where to write"
    )
    parser.add_argument(
        "--heads", metavar="TOWER=N,…", help="attention heads, for files of other sizes"
    )
    parser.add_argument(
        "--activation", choices=ACTIVATIONS, help="of OpenCLIP files; OpenAI's are quick_gelu"
    )
    parser.add_argument("--only", metavar="MODALITY,…", help="only these modalities")
    parser.add_argument("--dtype", choices=DTYPES, help="store weights so (default: as they are)")
    parser.add_argument(
        "--accept-license", action="store_true", help="of weights that have to be fetched"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read, and write."""
    heads = parse_heads(arguments.heads) if arguments.heads else None
    chosen = arguments.only.split(",") if arguments.only else None

    import torch

    from openbind.catalog import find
    from openbind.checkpoints import formats, native

    path = find(arguments.source, modalities=chosen, accept_license=arguments.accept_license)
    space = formats.read(path, modalities=chosen, heads=heads, activation=arguments.activation)
    if not formats.is_native(path):
        # What it is computed in is for the machine that loads it to say.
        space.config = replace(space.config, dtype=None)
    stored = getattr(torch, arguments.dtype) if arguments.dtype else None
    native.save(space, arguments.output, dtype=stored)
    size = sum(file.stat().st_size for file in arguments.output.iterdir())
    print(f"{arguments.output}: {', '.join(space.modalities)}; {size / 1e6:,.1f} MB")
    return 0


def parse_heads(given: str) -> dict[str, int]:
    """Read "vision=16,text=16".

    Raises:
        InputError: not pairs of a name and a positive whole number.
    """
    heads = {}
    for pair in given.split(","):
        name, _, value = pair.partition("=")
        if not name or not value.isdecimal() or int(value) < 1:
            raise InputError(f"--heads {given}", "expected TOWER=NUMBER,…")
        heads[name.strip()] = int(value)
    return heads


VERB = Verb("Write a model as a directory of openbind's own format.", add_arguments, run)
