"""`openbind train`: bind a modality to a frozen space, following a recipe."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from openbind.cli.verb import Verb, positive, print_json
from openbind.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="YAML file")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the recipe's relative data paths (default: the recipe's folder)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the run's folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the recipe, e.g. schedule.steps=100; may be repeated",
    )
    parser.add_argument("--device", metavar="NAME", help="sets hardware.device: auto, cpu, cuda")
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="sets hardware.embed_batch_size: clips per batch of what is only embedded",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="sets hardware.embed_workers: decoders of what is only embedded",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    mode.add_argument(
        "--dry-run",
        action="store_true",
        help="try the recipe on a few rows and estimate the time; writes nothing",
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--schema", action=_PrintSchema, help="print the JSON Schema of recipes, for editors"
    )


class _PrintSchema(argparse.Action):
    """Print the schema and exit, without the other arguments."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from openbind.configs import schema
        from openbind.training.recipe import Recipe

        dialect = "https://json-schema.org/draft/2020-12/schema"
        print_json({"$schema": dialect, **schema(Recipe)})
        parser.exit()


def run(arguments: argparse.Namespace) -> int:
    """Train, or do a dry run."""
    from openbind.training.recipe_file import read_recipe

    hardware = {
        "hardware.device": arguments.device,
        "hardware.embed_batch_size": arguments.batch_size,
        "hardware.embed_workers": arguments.workers,
    }
    changes = {key: str(value) for key, value in hardware.items() if value is not None}
    recipe = read_recipe(arguments.recipe, changes | parse_changes(arguments.set))
    root = arguments.data or arguments.recipe.parent
    if not root.is_dir():
        raise InputError(root, "no such folder; set --data to the recipe's data folder")
    if arguments.dry_run:
        from openbind.training.check import check_recipe

        report = check_recipe(recipe, root)
        if os.environ.get("RANK", "0") != "0":
            return 0  # only the first process prints
        print_json(report.to_dict()) if arguments.json else print(report)
        return 0

    from openbind.training.run import train

    folder = train(recipe, root, arguments.output, resume=arguments.resume, progress=True)
    if folder is None:
        return 0  # only the first process prints
    if arguments.json:
        print_json({"run": str(folder)})
    else:
        print(folder)
        print(f'load it: openbind.load("{folder}")', file=sys.stderr)
    return 0


def parse_changes(given: list[str]) -> dict[str, str]:
    """Return the changes in `schedule.steps=100` and the like, by key.

    Raises:
        InputError: no key, or no `=`.
    """
    changes = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}", "expected KEY=VALUE, e.g. schedule.steps=100")
        changes[key] = value
    return changes


VERB = Verb(
    "Bind a modality to a frozen space, following a recipe. On several GPUs: "
    "torchrun --nproc-per-node 8 -m openbind train RECIPE",
    add_arguments,
    run,
)
