"""`openbind train`: bind a modality to a frozen space, following a recipe."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import Verb, positive, print_json
from openbind.errors import InputError

if TYPE_CHECKING:
    from openbind.training.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_recipe_arguments(parser)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the run's folder (default: runs/NAME)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    mode.add_argument(
        "--dry-run",
        action="store_true",
        help="try the recipe on a few rows and estimate the time; writes nothing",
    )
    mode.add_argument(
        "--find-lr",
        action="store_true",
        help="take 100 steps of rising learning rate; writes a table and a plot beside the run's "
        "folder, and nothing into it",
    )
    parser.add_argument(
        "--schema", action=_PrintSchema, help="print the JSON Schema of recipes, for editors"
    )


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, and the options that change it, and `--json`."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="YAML file")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the recipe's relative data paths (default: the recipe's folder)",
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
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


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
    """Train, do a dry run, or test learning rates."""
    recipe, root = read_arguments(arguments)
    if arguments.dry_run:
        return _check(recipe, root, arguments.json)
    output = arguments.output or Path("runs") / recipe.name
    if arguments.find_lr:
        return _find_lr(recipe, root, output, arguments.json)

    from openbind.training.run import train

    # Workers that torchrun has started again go on from the last checkpoint.
    resume = arguments.resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    folder = train(recipe, root, output, resume=resume, progress=True)
    if folder is None:
        return 0  # only the first process prints
    if arguments.json:
        print_json({"run": str(folder)})
    else:
        print(folder)
        print(f'load it: openbind.load("{folder}")', file=sys.stderr)
    return 0


def read_arguments(arguments: argparse.Namespace) -> tuple[Recipe, Path]:
    """Return the recipe, with the changes of the command line, and the data folder.

    Raises:
        InputError: no such data folder, or a change that isn't KEY=VALUE.
        ConfigError: the recipe can't be used.
    """
    from openbind.training.recipe_file import read_recipe

    recipe = read_recipe(arguments.recipe, changes_of(arguments))
    return recipe, data_folder(arguments)


def changes_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the changes of the recipe that the command line asks for, by key.

    Raises:
        InputError: a change that isn't KEY=VALUE.
    """
    hardware = {
        "hardware.device": arguments.device,
        "hardware.embed_batch_size": arguments.batch_size,
        "hardware.embed_workers": arguments.workers,
    }
    changes = {key: str(value) for key, value in hardware.items() if value is not None}
    return changes | parse_changes(arguments.set)


def data_folder(arguments: argparse.Namespace) -> Path:
    """Return the data folder.

    Raises:
        InputError: there is none.
    """
    root: Path = arguments.data or arguments.recipe.parent
    if not root.is_dir():
        raise InputError(root, "no such folder; set --data to the recipe's data folder")
    return root


def _check(recipe: Recipe, root: Path, as_json: bool) -> int:
    from openbind.training.check import check_recipe

    report = check_recipe(recipe, root)
    if os.environ.get("RANK", "0") == "0":  # only the first process prints
        print_json(report.to_dict()) if as_json else print(report)
    return 0


def _find_lr(recipe: Recipe, root: Path, output: Path, as_json: bool) -> int:
    from openbind.training.find_lr import find_lr

    test = find_lr(recipe, root, progress=True)
    if test is None:
        return 0
    output.parent.mkdir(parents=True, exist_ok=True)
    table, plot = (output.with_name(f"{output.name}-lr.{kind}") for kind in ("csv", "svg"))
    test.write_table(table)
    test.write_plot(plot)
    if as_json:
        print_json({"lr": test.suggestion(), "table": str(table), "plot": str(plot)})
    else:
        print(f"{test.suggestion():.1e}")
        print(f"a tenth of the rate of the least loss; {table}, {plot}", file=sys.stderr)
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
