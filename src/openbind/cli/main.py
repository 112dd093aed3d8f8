"""Find the verb, parse its arguments, run it; turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import warnings
from collections.abc import Sequence

from openbind import __version__
from openbind.cli.interrupts import defer_interrupts
from openbind.cli.noise import without_noise
from openbind.cli.short import ShortCommand
from openbind.errors import OpenbindError, UnknownNameError, printable
from openbind.registry import Registry

VERBS = Registry(
    "verb",
    "openbind.verbs",
    {
        "demo": "openbind.cli.demo:VERB",
        "search": "openbind.cli.search:VERB",
        "index": "openbind.cli.index:VERB",
        "serve": "openbind.cli.serve:VERB",
        "duplicates": "openbind.cli.duplicates:VERB",
        "embed": "openbind.cli.embed:VERB",
        "generate": "openbind.cli.generate:VERB",
        "locate": "openbind.cli.locate:VERB",
        "bridge": "openbind.cli.bridge:VERB",
        "compare": "openbind.cli.compare:VERB",
        "classify": "openbind.cli.classify:VERB",
        "doctor": "openbind.cli.doctor:VERB",
        "models": "openbind.cli.models:VERB",
        "convert": "openbind.cli.convert:VERB",
        "export": "openbind.cli.export:VERB",
        "train": "openbind.cli.train:VERB",
        "sweep": "openbind.cli.sweep:VERB",
        "evaluate": "openbind.cli.evaluate:VERB",
    },
)

USAGE_ERROR = 2
FAILED = 1


def main(arguments: Sequence[str] | None = None, short: ShortCommand | None = None) -> int:
    """Run one command line.

    Args:
        arguments: without the program's name; None takes the process's.
        short: begun if the command is one; None leaves the process as it is.

    Returns:
        exit code: 0 for success, 1 for failure, 2 for a wrong command line.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-"):
        return _run_verb(given[0], given[1:], short)
    parser = argparse.ArgumentParser(
        prog="openbind",
        description="One embedding space for images, video, text, audio, depth, thermal and IMU "
        "data.",
        epilog="verbs:\n"
        + "\n".join(map(_summarize, VERBS.names()))
        + "\n\nRun `openbind VERB --help` for the options of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"openbind {__version__}")
    parser.add_argument("verb", nargs="?", metavar="VERB", help="one of the verbs below")
    parser.parse_args(given)
    parser.print_help(sys.stderr)
    return USAGE_ERROR


def run() -> None:
    """Entry point of the program `openbind`."""
    if hasattr(sys.stdout, "reconfigure"):
        # File names may hold bytes that are not text; in JSON the escape reads back as the name.
        sys.stdout.reconfigure(errors="backslashreplace")
    # One line each, without the source's line.
    warnings.formatwarning = lambda message, *_, **__: f"openbind: {printable(str(message))}\n"
    # Pillow's word about large images names no file; `openbind.limits` judges them.
    warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\)")
    short = ShortCommand()
    try:
        defer_interrupts()
        with without_noise():
            code = main(short=short)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) is gone; without this Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    short.end(code)
    sys.exit(code)


def _summarize(name: str) -> str:
    """Return a verb's line in the help: its name and the first sentence of its description."""
    try:
        description: str = VERBS.get(name).description
    except ImportError as error:  # of a plug-in
        description = f"(can't be imported: {error})"
    sentence = description.partition(". ")[0].removesuffix(".")
    return textwrap.fill(sentence, 100, initial_indent=f"  {name:10} ", subsequent_indent=" " * 13)


def _run_verb(name: str, arguments: list[str], short: ShortCommand | None) -> int:
    try:
        verb = VERBS.get(name)
    except UnknownNameError as error:
        print(f"openbind: {error}", file=sys.stderr)
        return USAGE_ERROR
    parser = argparse.ArgumentParser(prog=f"openbind {name}", description=verb.description)
    verb.add_arguments(parser)
    try:
        parsed = parser.parse_args(arguments)
        if short is not None and verb.is_short(parsed):
            short.begin()
        code: int = verb.run(parsed)
    except (OpenbindError, OSError) as error:
        # Line by line: names in the message can't steer the terminal.
        lines = map(printable, f"openbind {name}: {error}".splitlines())
        print(*lines, sep="\n", file=sys.stderr)
        return FAILED
    return code
