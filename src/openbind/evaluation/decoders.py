"""Open a large decoder for a space: license, files, and what its vectors have to be made like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from openbind.atomic import atomic_path
from openbind.catalog import check_license
from openbind.checkpoints import hub
from openbind.checkpoints.prompts import empty_prompt
from openbind.download import cache_directory
from openbind.errors import InputError
from openbind.evaluation.builtin import find_sets
from openbind.evaluation.collection import ItemSet
from openbind.evaluation.samples import read_sample_set, samples_folder
from openbind.generation.bridge import Bridge, read_bridge
from openbind.generation.condition import NORM, Condition
from openbind.generation.large import DECODERS, LargeDecoder, image_families
from openbind.modalities import IMAGE
from openbind.space.inference import inferring, placed
from openbind.space.space import Space

SAMPLES = 64
"""Items of a modality that its mean, and the length of raw vectors, are measured on."""


def open_decoder(
    name: str,
    space: Space,
    *,
    bridge: Path | None = None,
    accept_license: bool = False,
    folder: Path | None = None,
    prompt: Path | None = None,
    fetch_text_encoder: bool = False,
    **options: Any,
) -> Any:
    """Open a large decoder for the vectors of a space: `space.with_generator(...)`.

    Args:
        name: "unclip-h", "unclip-small", "ip-adapter-sd15" or "ip-adapter-sdxl".
        space: whose vectors are drawn.
        bridge: file of `openbind bridge` from the space to the decoder's encoder; not needed
            where the space's images are embedded by that encoder.
        accept_license: accept the license of what is fetched; the same as the decoder's name in
            $OPENBIND_ACCEPT_LICENSE.
        folder: of the diffusion model in diffusers' layout, with the IP-Adapter's file in it if
            there is one; None fetches both from the Hugging Face Hub.
        prompt: safetensors file with the embedding of the empty prompt; None takes the space's
            text tower where it is the model's, or what is cached.
        fetch_text_encoder: download the model's text encoder for it, where there is no other way.
        options: `device`, `dtype` and `size` as in `openbind.generation.diffusion.load_diffusion`;
            by default the space's device.

    Raises:
        UnknownNameError: no such decoder.
        InputError: the space's image side isn't the decoder's, or the bridge is for others.
        CheckpointError: the license wasn't accepted, or files are missing or damaged.
        MissingExtraError: diffusers isn't installed.
    """
    from openbind.generation.diffusion import load_diffusion

    entry: LargeDecoder = DECODERS.get(name)
    given = None if bridge is None else read_bridge(bridge)
    check_side(name, entry, space, given)
    base, adapter = (folder, None) if folder else _fetch(name, entry, accept_license)
    if folder and entry.adapter:
        adapter = folder / Path(entry.adapter[1]).name
    condition = Condition(
        dim=space.dim,
        norm=given.info.norm if given else measure_norm(space),
        images=image_modalities(space),
        gap=cache(lambda modality: measure_gap(space, modality)),
        bridge=given,
    )
    prompt_1ND = empty_prompt(entry, base, space, given=prompt, fetch=fetch_text_encoder)
    options = {"device": space.device, **options}
    return load_diffusion(entry, base, condition, prompt_1ND, adapter=adapter, **options)


def check_side(name: str, entry: LargeDecoder, space: Space, bridge: Bridge | None) -> None:
    """Check that a decoder takes a space's image vectors, or those that a bridge leads to.

    Raises:
        InputError: it doesn't, and why.
    """
    wanted = entry.family
    if bridge is None:
        known = space_families(space)
        if wanted.name not in known or space.dim != wanted.dim:
            found = " and ".join(known) or f"none of these, in {space.dim} dimensions"
            reason = f"takes image vectors of {wanted.name}, {space.name} has those of {found}"
            how = f"`openbind bridge {space.name} OTHER images/ -o bridge.safetensors`"
            raise InputError(name, f"{reason}; to a space OTHER that has them: {how}")
        return
    info = bridge.info
    if info.source != space.identity(IMAGE):
        found = f"{space.name} ({space.identity(IMAGE)[:8]})"
        reason = f"the bridge leads from {info.source_name} ({info.source[:8]}), not from {found}"
        raise InputError(name, f"{reason}; weights, settings and precision count")
    if info.family != wanted.name or bridge.weight_ED.shape != (space.dim, wanted.dim):
        reason = f"the bridge leads to {info.target_name} ({info.family or 'no known encoder'})"
        raise InputError(name, f"{reason}, the decoder takes image vectors of {wanted.name}")


def space_families(space: Space) -> tuple[str, ...]:
    """Return the families of public image encoders that a space's image tower is of."""
    binding = space.config.modalities.get(IMAGE)
    return () if binding is None else image_families(space.config.towers[binding.tower].config)


def image_modalities(space: Space) -> frozenset[str]:
    """Return the modalities that share the tower of images."""
    bindings = space.config.modalities
    if IMAGE not in bindings:
        return frozenset()
    return frozenset(n for n, b in bindings.items() if b.tower == bindings[IMAGE].tower)


def measure_norm(space: Space, images: Sequence[Any] | None = None) -> float:
    """Return the median length of a space's image vectors before they are made of unit length.

    Args:
        space: its image tower is run; without one, `NORM` is returned.
        images: items of any kind; None takes sample images that ship.
    """
    binding = space.config.modalities.get(IMAGE)
    if binding is None:
        return NORM
    tower = space.towers[binding.tower]
    chosen = _sample(IMAGE)[:SAMPLES] if images is None else list(images)[:SAMPLES]
    pixels_NCHW = space.preprocess(IMAGE, chosen)
    with inferring(tower):
        lengths = [
            float(tower(placed(part_BCHW, tower)).float().norm(dim=-1))
            for part_BCHW in pixels_NCHW.split(1)
        ]
    return float(np.median(lengths))


def measure_gap(space: Space, modality: str) -> np.ndarray | None:
    """Return what moves a modality's vectors to the images: the difference of the means.

    It is measured on sample items that ship, once for each space.

    Returns:
        (dim,) float32; None for modalities without samples.
    """
    if IMAGE not in space.modalities or not _sample(modality):
        return None
    sides = f"{space.identity(modality)} {space.identity(IMAGE)}".encode()
    key = hashlib.blake2b(sides, digest_size=16).hexdigest()
    path = cache_directory() / "gaps" / f"{key}.npy"
    if not path.is_file():
        means = [_mean(space, kind) for kind in (IMAGE, modality)]
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, means[0] - means[1])
    gap_E: np.ndarray = np.load(path, allow_pickle=False)
    return gap_E


def _mean(space: Space, modality: str) -> np.ndarray:
    rows = []
    for held in _sets():
        side = held.sides.get(modality)
        items = [item.content for item in side.items][:SAMPLES] if side else []
        if side and items:
            rows.append(space.with_settings(modality, **side.settings).encode(modality, items))
    return np.asarray(np.concatenate(rows)[:SAMPLES].mean(axis=0), np.float32)


@cache
def _sets() -> tuple[ItemSet, ...]:
    return (read_sample_set(samples_folder()), *find_sets())


def _sample(modality: str) -> list[Any]:
    sides = [held.sides[modality] for held in _sets() if modality in held.sides]
    return [item.content for side in sides for item in side.items]


def _fetch(name: str, entry: LargeDecoder, accept_license: bool) -> tuple[Path, Path | None]:
    """Return the folder of the diffusion model and the IP-Adapter's file; fetch them once."""
    if not hub.is_fetched(entry.repository, "unet/config.json"):
        what = f"{entry.repository} ({entry.gigabytes:.1f} GB)"
        check_license(name, what, entry.consent, accept_license)
    base = hub.pull_diffusion(entry.repository)
    if entry.adapter is None:
        return base, None
    repository, file = entry.adapter
    return base, hub.pull_file(repository, file)
