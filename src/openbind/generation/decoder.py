"""What draws images from vectors: the interface of all decoders, and the checks of a request."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from openbind.errors import InputError, OpenbindError
from openbind.generation.candidates import Look, keep_nearest

if TYPE_CHECKING:
    from PIL import Image

UNIT_ERROR = 1e-2
"""How far the length of a vector may be from 1; rows rounded to bfloat16 stay within a third."""
HOW_TO_DRAW = (
    "the starter has its own, and large ones (unclip-h, unclip-small, ip-adapter-sd15, "
    "ip-adapter-sdxl) fit spaces of CLIP's image encoders or need a bridge: docs/generation.md"
)
MAX_SEED = 2**63 - 1
MAX_CANDIDATES = 64

Progress = Callable[[int, int], bool]
"""Called with the steps done and all steps; returning False cancels the drawing."""


class CanceledError(OpenbindError, RuntimeError):
    """Drawing was canceled by its progress function."""

    def __init__(self) -> None:
        super().__init__("drawing was canceled")


class Decoder(Protocol):
    """Draws images from vectors, whatever they were computed from."""

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        ...

    @property
    def accepts(self) -> str:
        """The image side that it was trained on.

        The identity of a space's image tower, or the name of a family of public encoders.
        """
        ...

    @property
    def candidates(self) -> int:
        """Images that are drawn for each one that is kept, if nothing else is asked for."""
        ...

    def draw(
        self,
        vectors_BE: np.ndarray,
        *,
        modality: str | None,
        n: int,
        candidates: int,
        seed: int,
        steps: int | None,
        guidance: float | None,
        progress: Progress | None,
    ) -> list[list[Image.Image]]:
        """Draw `n` · `candidates` images from each vector; requests have passed `check_numbers`.

        Args:
            vectors_BE: float32 unit rows.
            modality: what all of them were computed from; None for sums, or if it isn't known.
            n: number of images that are kept of each vector's.
            candidates: images to choose each of them from; they stand one after the other, and may
                depend on how many they are, but not on `n`.
            seed: the images of a vector depend on it, not on the rest of the batch.
            steps: of the sampler; None takes the decoder's own number.
            guidance: how much stronger than unconditional images the vector counts; up to 1 draws
                without guidance; None takes the decoder's own.
            progress: called after each step.

        Raises:
            CanceledError: `progress` returned False.
        """
        ...


def generate(
    decoder: Decoder,
    vectors: Any,
    *,
    modality: str | None = None,
    n: int = 4,
    candidates: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    progress: Progress | None = None,
    look: Look | None = None,
) -> Any:
    """Draw images; see `Decoder.draw` for the arguments.

    Each image is the one of some candidates that the space itself sees as nearest to the vector.

    Args:
        decoder: draws them.
        vectors: one unit vector (dim,), or several (count, dim).
        modality, n, seed, steps, guidance, progress: as in `Decoder.draw`.
        candidates: of each image; None takes the decoder's own number, 1 chooses nothing.
        look: embeds candidates; None if the space can't embed images.

    Returns:
        `n` RGB images; for several vectors a list of `n` for each.

    Raises:
        InputError: the vectors aren't of the decoder's space, a number is out of its range, or
            there is nothing to choose with.
        CanceledError: `progress` returned False.
    """
    check_numbers(n, seed, steps, guidance, candidates)
    candidates = decoder.candidates if candidates is None else candidates
    if candidates > 1 and look is None:
        reason = "chosen among by the space's image tower, which isn't loaded: load it, or ask for"
        raise InputError("candidates", f"{candidates} are {reason} 1")
    rows_BE = check_vectors(vectors, decoder.dim)
    if not len(rows_BE):
        return []
    drawn = decoder.draw(
        rows_BE,
        modality=modality,
        n=n,
        candidates=candidates,
        seed=seed,
        steps=steps,
        guidance=guidance,
        progress=progress,
    )
    if candidates > 1 and look is not None:
        drawn = [
            keep_nearest(images, vector_E, candidates, look)
            for images, vector_E in zip(drawn, rows_BE, strict=True)
        ]
    return drawn if np.ndim(vectors) == 2 else drawn[0]


def check_numbers(
    n: int,
    seed: int,
    steps: int | None,
    guidance: float | None,
    candidates: int | None = None,
) -> None:
    """Check the numbers of a request.

    Raises:
        InputError: names the number that is out of its range.
    """
    given = {"n": (n, 1), "candidates": (candidates, 1), "steps": (steps, 1), "seed": (seed, 0)}
    for name, (value, least) in given.items():
        if value is None and name in ("candidates", "steps"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(name, f"expected an integer of at least {least}, found {value!r}")
    for name, value, most in (("seed", seed, MAX_SEED), ("candidates", candidates, MAX_CANDIDATES)):
        if value is not None and value > most:
            raise InputError(name, f"expected at most {most}, found {value}")
    if guidance is not None and not (math.isfinite(guidance) and guidance >= 0):
        raise InputError("guidance", f"expected a number of at least 0, found {guidance!r}")


def check_vectors(vectors: Any, dim: int) -> np.ndarray:
    """Return vectors as float32 rows (count, dim).

    Raises:
        InputError: another shape, NaN or infinite numbers, or rows that aren't of unit length.
    """
    rows = np.asarray(vectors)
    if rows.ndim not in (1, 2) or rows.shape[-1] != dim or rows.dtype.kind != "f":
        reason = f"expected vectors ({dim},) or (count, {dim}); was it encoded by another space?"
        raise InputError(vectors, reason)
    rows_BE = np.atleast_2d(rows).astype(np.float32)
    lengths = np.linalg.norm(rows_BE.astype(np.float64), axis=1)
    for row, length in enumerate(lengths):
        if not math.isfinite(length):
            raise InputError(vectors, f"row {row} has NaN or infinite numbers")
        if abs(length - 1) > UNIT_ERROR:
            reason = f"row {row} has length {length:.3g}, expected unit vectors; combine() makes"
            raise InputError(vectors, f"{reason} sums of unit length")
    return rows_BE


def check_accepted(decoder: Decoder, sides: Collection[str], name: str) -> None:
    """Check that a decoder was trained on a space's image side.

    Args:
        decoder: to draw with.
        sides: identity of the space's image tower, and the names of its families.
        name: of the space.

    Raises:
        InputError: it was trained on another.
    """
    if decoder.accepts not in sides:
        known = " or ".join(sorted(sides)) or "none"
        raise InputError(
            name,
            f"the decoder draws from image vectors of {decoder.accepts}, the space's are of "
            f"{known}; fit a bridge between the two with `openbind bridge`",
        )


def report(progress: Progress | None, done: int, total: int) -> None:
    """Report a step to a request's progress function, if it has one.

    Raises:
        CanceledError: it returned False.
    """
    if progress is not None and not progress(done, total):
        raise CanceledError


def image_seeds(seed: int, n: int) -> list[int]:
    """Return a seed for each of the `n` images of a vector, the same in every batch."""
    return [int(np.random.SeedSequence([seed, at]).generate_state(1)[0]) for at in range(n)]
