"""`openbind demo`: embed the sample collection and show what can be done with it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.cli.verb import Verb

if TYPE_CHECKING:
    from openbind.demo.showcase import Answer, Showcase

SHOWN = 3
"""Matches printed for a query; the page shows more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--space", default="starter", help="name or directory (default: starter)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo/index.html"),
        metavar="FILE",
        help="the page (default: demo/index.html)",
    )

    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="thermal images too: a folder with roadscene in it, which may not be passed on",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed, print, and write the page."""
    print("loading the model …", file=sys.stderr)
    from openbind.catalog import load
    from openbind.demo.page import write_page
    from openbind.demo.samples import (
        read_on_disk,
        read_samples,
        read_script,
        read_unseen,
        samples_folder,
    )
    from openbind.demo.showcase import build_showcase

    folder = samples_folder()
    script = read_script(folder)
    items = read_samples(folder) + read_unseen(script.unseen)
    if arguments.data is not None:
        more = read_on_disk(arguments.data)
        items, script = items + more, script.asking(more)
    showcase = build_showcase(load(arguments.space), items, script, folder)
    _print(showcase)
    write_page(showcase, folder, arguments.output)
    print(f"\nTo look at and listen to: {arguments.output}")
    return 0


def _print(showcase: Showcase) -> None:
    counts = ", ".join(f"{count} {modality}" for modality, count in showcase.counts.items())
    print(f"{showcase.space}: {counts} samples in one space")
    for part in showcase.directions:
        print(
            f"\n{part.source} → {part.target} ({'trained' if part.trained else 'emergent'}); "
            f"recall@5 {part.recall:.2f}, chance {part.chance:.2f}, {part.queries} queries"
        )
        for answer in part.answers:
            _print_answer(answer)
    print("\nsums of embeddings")
    for answer in showcase.sums:
        _print_answer(answer)
    print()
    for found in showcase.classifications:
        print(
            f"{found.modality} classified by words "
            f"({'trained' if found.trained else 'never paired with words: emergent'}): "
            f"accuracy {found.accuracy:.2f}, chance {found.chance:.2f}, "
            f"{len(found.rows)} samples, {len(found.labels)} classes"
        )
    if showcase.card.measurements:
        print("\nThe samples may have been in the model's training. On data kept out of it:")
    for m in showcase.card.measurements:
        print(f"  {m.task}, {m.metric}: {m.value:.2f}, chance {m.chance:.3f}")


def _print_answer(answer: Answer) -> None:
    best = ", ".join(f"{item.title} {score:.2f}" for item, score in answer.best[:SHOWN])
    print(f"  {answer.title} → {best}")


VERB = Verb("Embed the sample collection and show what can be done with it.", add_arguments, run)
