"""Find the verb, parse its arguments, run it; turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from openbind import __version__
from openbind.errors import OpenbindError, UnknownNameError
from openbind.registry import Registry

VERBS = Registry(
    "verb",
    "openbind.verbs",
    {
        "demo": "openbind.cli.demo:VERB",
        "search": "openbind.cli.search:VERB",
        "index": "openbind.cli.index:VERB",
        "serve": "openbind.cli.serve:VERB",
        "embed": "openbind.cli.embed:VERB",
        "compare": "openbind.cli.compare:VERB",
        "classify": "openbind.cli.classify:VERB",
        "models": "openbind.cli.models:VERB",
        "convert": "openbind.cli.convert:VERB",
        "train": "openbind.cli.train:VERB",
        "evaluate": "openbind.cli.evaluate:VERB",
    },
)

# Kept here and not in the verbs' modules, so that `openbind --help` imports none of them.
SUMMARIES = {
    "demo": "embed the sample collection and show what can be done with it",
    "search": "find files in folders by words, images, sounds, or several together",
    "index": "make an index over folders, so that search is at once, and keep it up",
    "serve": "serve embeddings, search in an index, and a page over HTTP",
    "embed": "write the vectors of the files in folders to .parquet or .npz",
    "compare": "print the similarity matrix of a few items",
    "classify": "classify files by words, without training",
    "models": "list the spaces that can be loaded by name",
    "convert": "write weights of other projects as a directory of openbind's own format",
    "train": "bind a modality to a frozen space, as a recipe says",
    "evaluate": "measure spaces on data sets, beside the numbers of papers",
}

USAGE_ERROR = 2
FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: without the program's name; None takes the process's.

    Returns:
        exit code: 0 when what was asked was done, 1 when it failed, 2 for a wrong command line.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-"):
        return _run_verb(given[0], given[1:])
    parser = argparse.ArgumentParser(
        prog="openbind",
        description="One embedding space for images, sounds, words and more.",
        epilog="verbs:\n"
        + "\n".join(f"  {name:10} {SUMMARIES.get(name, '')}" for name in VERBS.names())
        + "\n\n`openbind VERB --help` tells more of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"openbind {__version__}")
    parser.add_argument("verb", nargs="?", metavar="VERB", help="what to do, see below")
    parser.parse_args(given)
    parser.print_help(sys.stderr)
    return USAGE_ERROR


def run() -> None:
    """Entry point of the program `openbind`."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) went away: nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def _run_verb(name: str, arguments: list[str]) -> int:
    try:
        verb = VERBS.get(name)
    except UnknownNameError as error:
        print(f"openbind: {error}", file=sys.stderr)
        return USAGE_ERROR
    parser = argparse.ArgumentParser(prog=f"openbind {name}", description=verb.description)
    verb.add_arguments(parser)
    try:
        code: int = verb.run(parser.parse_args(arguments))
    except (OpenbindError, OSError) as error:
        print(f"openbind {name}: {error}", file=sys.stderr)
        return FAILED
    return code
