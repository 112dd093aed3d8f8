"""`openbind sweep`: train a recipe over a grid of settings, and compare the results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from openbind.cli.train import add_recipe_arguments, changes_of, data_folder
from openbind.cli.verb import Verb, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_recipe_arguments(parser)
    parser.add_argument(
        "--over",
        action="append",
        required=True,
        metavar="KEY=VALUE,VALUE",
        help="values of a setting, e.g. schedule.lr=1e-3,3e-4; repeated, all combinations are "
        "trained; over seed=0,1,2 results are averaged",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the runs and the table (default: runs/RECIPE-sweep); a sweep that was "
        "interrupted goes on in it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep and print its table; exit code 1 if a run failed."""
    from openbind.training.sweep import parse_axes, run_sweep

    output = arguments.output or Path("runs") / f"{arguments.recipe.stem}-sweep"
    axes = parse_axes(arguments.over)
    given = arguments.recipe, axes, data_folder(arguments), output, changes_of(arguments)
    table = run_sweep(*given, progress=True)
    print_json(table.to_dict()) if arguments.json else print(table)
    print(output / "sweep.csv", file=sys.stderr)
    return int(any(found.error is not None for found in table.runs))


VERB = Verb(
    "Train a recipe over a grid of settings, and compare the results. An interrupted sweep goes on "
    "where it was; what is frozen is embedded once for all runs.",
    add_arguments,
    run,
)
