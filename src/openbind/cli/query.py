"""The options of a query: items of any modality, each with a weight of its own."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from openbind.cli.verb import print_line
from openbind.errors import InputError
from openbind.modalities import MODALITIES, TEXT

if TYPE_CHECKING:
    from openbind.search.query import Term
    from openbind.space.card import Card


@dataclass(frozen=True)
class Part:
    """An item on the command line.

    Args:
        modality: what it is read as.
        item: as it was given.
        sign: -1 for what results shall be unlike.
        weight: of the `--weight` after it; None if there is none.
    """

    modality: str
    item: str
    sign: int = 1
    weight: float | None = None


class _AddPart(argparse.Action):
    """Add an item to the parts; `const` is a part without its item."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, value: Any, option: Any = None
    ) -> None:
        namespace.parts = [*namespace.parts, replace(self.const, item=value)]


class _WeighPart(argparse.Action):
    """Give the part before it a weight."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, value: Any, option: Any = None
    ) -> None:
        *before, last = namespace.parts or [None]
        if last is None:
            raise InputError(f"--weight {value}", "no item before it; it follows the one it weighs")
        if last.weight is not None:
            raise InputError(f"--weight {value}", f"{last.item!r} before it has a weight already")
        namespace.parts = [*before, replace(last, weight=_parse_weight(value))]


def add_part_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one repeatable option for each modality: `--text "a dog" --image dog.jpg`."""
    parser.set_defaults(parts=[])
    for name in MODALITIES.names():
        parser.add_argument(
            f"--{name}",
            action=_AddPart,
            dest="parts",
            const=Part(name, ""),
            metavar="ITEM",
            help="may be repeated",
        )


def add_query_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of verbs that take a query: its parts, `--minus` and `--weight`."""
    add_part_arguments(parser)
    parser.add_argument(
        "--minus",
        action=_AddPart,
        dest="parts",
        const=Part(TEXT, "", sign=-1),
        metavar="TEXT",
        help="a text that results shall be unlike; may be repeated",
    )
    parser.add_argument(
        "--weight",
        action=_WeighPart,
        dest="parts",
        metavar="NUMBER",
        help="weight of the item before it, as in --text rain --image street.jpg --weight 0.3 "
        "(default: 1; negative: unlike it)",
    )


def query_terms(arguments: argparse.Namespace) -> list[Term]:
    """Return the terms of a query in the order of the command line."""
    from openbind.search.query import Term

    return [
        Term(part.modality, part.item, part.sign * (1.0 if part.weight is None else part.weight))
        for part in arguments.parts
    ]


def note_languages(card: Card, name: str, asked: Iterable[Term | str]) -> None:
    """Print a line to stderr for each text in a language that the space doesn't know.

    Args:
        card, name: of the space that embeds them.
        asked: texts, or terms of a query of any modality.
    """
    from openbind.space.language import note_foreign

    terms = [each for each in asked if isinstance(each, str) or each.modality == TEXT]
    texts = [each if isinstance(each, str) else str(each.item) for each in terms]
    for note in note_foreign(texts, card.languages, name):
        print_line(note, file=sys.stderr)


def _parse_weight(given: str) -> float:
    """Return a finite number other than 0.

    Raises:
        InputError: anything else.
    """
    try:
        weight = float(given)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight) or not weight:
        expected = "expected a number other than 0, for the item before it"
        raise InputError(f"--weight {given}", expected)
    return weight
