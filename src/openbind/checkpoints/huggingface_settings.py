"""Preprocessing of image and text as a Hugging Face directory states it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openbind.checkpoints.repository import read_inside, read_json
from openbind.configs import from_dict
from openbind.errors import CheckpointError, ConfigError, first_line, shorten
from openbind.modalities import MODALITIES
from openbind.model.config import PatchStem, TokenStem, TowerConfig

TOKENIZER = "tokenizer.json"
_FILTERS = {2: "bilinear", 3: "bicubic"}
"""Pillow's resampling filters by number."""
_HALF = (0.5, 0.5, 0.5)


def image_settings(folder: Path, kind: str, tower: TowerConfig) -> tuple[Any, list[str]]:
    """Read `preprocessor_config.json` (or the image part of `processor_config.json`).

    Missing keys have the defaults of transformers: CLIP resizes the shorter side and center-crops,
    SigLIP resizes both sides and has a mean and std of 0.5.

    Returns:
        the settings, and a sentence for each difference from the model's own preprocessing.
    """
    assert isinstance(tower.stem, PatchStem)
    values = _read_processor(folder)
    size = tower.stem.size[0]
    chosen: dict[str, Any] = {"size": size, "fit": "crop" if kind == "clip" else "squash"}
    if kind == "siglip":
        chosen |= {"mean": _HALF, "std": _HALF}
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if values.get(theirs):
            chosen[ours] = values[theirs]
    limits = []
    resample = values.get("resample", 3)
    if isinstance(resample, int) and resample in _FILTERS:
        chosen["filter"] = _FILTERS[resample]
    else:
        limits.append(
            "Images are resized bicubically; the model's own preprocessing uses Pillow's "
            f"filter {shorten(resample)}."
        )
    resized = values.get("size", size)
    sizes = list(resized.values()) if isinstance(resized, dict) else [resized]
    if any(other != size for other in sizes):
        shown = " × ".join(map(shorten, sizes[:2]))
        limits.append(f"Images are resized to {size} pixels; the model's own size is {shown}.")
    try:
        return from_dict(MODALITIES.get("image").settings, chosen), limits
    except ConfigError as error:
        raise CheckpointError(folder, f"preprocessing of images: {error}") from error


def text_settings(folder: Path, kind: str, tower: TowerConfig) -> Any:
    """Return text settings with the directory's `tokenizer.json`.

    Raises:
        CheckpointError: there is no such file.
    """
    assert isinstance(tower.stem, TokenStem)
    path = read_inside(folder, TOKENIZER)
    if not path.is_file():
        raise CheckpointError(path, "no such file; the tokenizer belongs beside the weights")
    chosen: dict[str, Any] = {"tokenizer": TOKENIZER, "context": tower.stem.context}
    if kind == "siglip":
        # Its tower attends to padding, and was trained on lower-case text.
        chosen |= {"pad": _pad_id(path), "lower": True}
    return MODALITIES.get("text").settings(**chosen)


def _read_processor(folder: Path) -> dict[str, Any]:
    alone, joined = folder / "preprocessor_config.json", folder / "processor_config.json"
    for path in (alone, joined):
        if path.is_file():
            values = read_json(path)
            found = values if path is alone else values.get("image_processor", {})
            if not isinstance(found, dict):
                raise CheckpointError(path, "image_processor: expected a mapping")
            return found
    return {}


def _pad_id(path: Path) -> int:
    """Return the padding id: the tokenizer's own, or that of its `<pad>`, else SigLIP's 1."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(path, f"not a vocabulary: {first_line(error)}") from error
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    found = tokenizer.token_to_id("<pad>")
    return 1 if found is None else int(found)
