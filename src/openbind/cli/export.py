"""`openbind export`: write towers as graphs for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from openbind.cli.verb import Verb, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("space", metavar="SPACE", help="name, path, or hf:organization/name")
    parser.add_argument("directory", type=Path, metavar="DIR", help="output, a new directory")
    parser.add_argument(
        "--format",
        default="onnx",
        help="onnx, for ONNX Runtime and OpenVINO, or pt2, for torch.export.load (default: onnx)",
    )
    parser.add_argument(
        "--dtype",
        default="float32",
        help="float32, or int8 for convolutions: several times as fast on CPUs, cosines of about "
        ".99 (default: float32)",
    )
    parser.add_argument(
        "--modality", metavar="NAME,…", help="write only the graphs of these modalities"
    )


def run(arguments: argparse.Namespace) -> int:
    """Load the space and write it."""
    from openbind.catalog import load
    from openbind.export.space import export_space

    chosen = arguments.modality.split(",") if arguments.modality else None
    space = load(arguments.space, modalities=chosen, device="cpu", dtype="float32")
    export_space(
        space,
        arguments.directory,
        format=arguments.format,
        modalities=chosen,
        dtype=arguments.dtype,
        report=print_line,
    )
    size = sum(file.stat().st_size for file in arguments.directory.iterdir())
    print_line(f"{arguments.directory}: {size / 1e6:,.1f} MB")
    return 0


VERB = Verb("Write towers as graphs for ONNX Runtime, OpenVINO or PyTorch.", add_arguments, run)
