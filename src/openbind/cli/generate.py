"""`openbind generate`: draw images of a text, a sound, or any combination."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.cli.query import add_query_arguments, note_languages, query_terms
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_set_argument,
    add_space_arguments,
    load_space,
    positive,
    print_json,
    print_line,
    with_settings,
)
from openbind.errors import InputError
from openbind.modalities import IMAGE

if TYPE_CHECKING:
    from PIL.Image import Image

    from openbind.search.query import Term
    from openbind.space.space import Space

OPTIONS = ("n", "candidates", "seed", "steps", "guidance")
"""Of the command line, for `Space.generate`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_query_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the image to write, of several a grid (.png, .jpg, .webp, …)",
    )
    parser.add_argument(
        "--n", type=positive, default=1, metavar="N", help="number of images (default: 1)"
    )
    parser.add_argument(
        "--candidates",
        type=int,
        metavar="N",
        help="images drawn for each, of which the nearest to the query is kept (default: the "
        "decoder's)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another draws other images (default: 0)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="default: the decoder's")
    parser.add_argument(
        "--guidance",
        type=float,
        metavar="X",
        help="how strictly the query is followed; up to 1 without guidance (default: the "
        "decoder's)",
    )
    add_decoder_arguments(parser)
    add_set_argument(parser)
    add_space_arguments(parser)
    add_compute_arguments(parser)


def add_decoder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--decoder` and what goes with it, for verbs that draw."""
    parser.add_argument(
        "--decoder",
        metavar="NAME",
        help="a large decoder: unclip-h, unclip-small, ip-adapter-sd15 or ip-adapter-sdxl, "
        "downloaded once (default: the space's own)",
    )
    parser.add_argument(
        "--bridge",
        type=Path,
        metavar="FILE",
        help="from the space to the decoder's image encoder, by `openbind bridge`",
    )
    parser.add_argument(
        "--prompt-embedding",
        type=Path,
        metavar="FILE",
        help="of a large decoder's empty prompt: a safetensors file with the tensor prompt "
        "(default: by the space's text tower, where it is the decoder's)",
    )
    parser.add_argument(
        "--fetch-text-encoder",
        action="store_true",
        help="download a large decoder's text encoder once for it, where there is no other way",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed the query, draw, and write."""
    from openbind.generation.decoder import check_numbers
    from openbind.generation.files import arrange, image_format, write_image
    from openbind.search.query import common_modality, embed_query

    image_format(arguments.output)
    options = {name: getattr(arguments, name) for name in OPTIONS}
    check_numbers(**options)
    terms = query_terms(arguments)
    if not terms:
        raise InputError("the query", "no terms; add at least one, such as --audio rooster.wav")
    space = open_space(arguments, terms)
    note_languages(space.card, space.name, terms)
    vector_E = embed_query(with_settings(space, arguments), terms)
    start = time.perf_counter()
    images = draw(space, vector_E, modality=common_modality(terms), **options)
    seconds = time.perf_counter() - start
    sheet = arrange(images)
    about = ", ".join(f"{term.weight:g} {term.modality}" for term in terms)
    shown = arguments.decoder or space.name
    write_image(sheet, arguments.output, f"drawn by {shown} from {about}, seed {arguments.seed}")
    if arguments.json:
        written = {"output": str(arguments.output), "width": sheet.width, "height": sheet.height}
        print_json({**written, "decoder": shown, **options, "seconds": round(seconds, 3)})
    else:
        images_of = f"{arguments.n} image{'s' if arguments.n > 1 else ''}"
        print_line(f"{arguments.output}: {images_of} by {shown} in {seconds:.1f} s")
    return 0


def open_space(arguments: argparse.Namespace, terms: list[Term]) -> Space:
    """Load the space of a query with the decoder of `add_decoder_arguments`."""
    check_decoder(arguments)
    if arguments.decoder is None:
        # Images too: candidates are looked at.
        return load_space(arguments, modalities={IMAGE, *(term.modality for term in terms)})
    return with_decoder(load_space(arguments), arguments)


def check_decoder(arguments: argparse.Namespace) -> None:
    """Refuse a bridge without a decoder.

    Raises:
        InputError: there is one.
    """
    if arguments.decoder is None and arguments.bridge is not None:
        raise InputError("--bridge", "only with --decoder: it leads to a large decoder's space")


def with_decoder(space: Space, arguments: argparse.Namespace) -> Space:
    """Return a space with the large decoder of `add_decoder_arguments`, if one is asked for."""
    if arguments.decoder is None:
        return space
    from openbind.evaluation.decoders import open_decoder

    decoder = open_decoder(
        arguments.decoder,
        space,
        bridge=arguments.bridge,
        prompt=arguments.prompt_embedding,
        fetch_text_encoder=arguments.fetch_text_encoder,
    )
    return space.with_generator(decoder)


def draw(space: Space, vector_E: Any, **options: Any) -> list[Image]:
    """Draw with a bar on stderr that appears after a second."""
    from tqdm import tqdm

    with tqdm(desc="drawing", unit="step", delay=1, disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int) -> bool:
            bar.total = total
            bar.update(done - bar.n)
            return True

        images: list[Image] = space.generate(vector_E, progress=show, **options)
    return images


VERB = Verb(
    "Draw images of a text, an image, a sound, or any combination. Decoders learn from images "
    "alone; whatever the space embeds near them can be drawn.",
    add_arguments,
    run,
)
