"""Preprocessing of image and text as a Hugging Face directory states it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openbind.errors import CheckpointError
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
            chosen[ours] = tuple(float(number) for number in values[theirs])
    limits = []
    resample = values.get("resample", 3)
    if resample in _FILTERS:
        chosen["filter"] = _FILTERS[resample]
    else:
        limits.append(
            "Images are resized bicubically; the model's own preprocessing uses Pillow's "
            f"filter {resample}."
        )
    resized = values.get("size", size)
    resized = set(resized.values()) if isinstance(resized, dict) else {resized}
    if resized != {size}:
        limits.append(f"Images are resized to {size} pixels; the model's own size is {resized}.")
    return MODALITIES.get("image").settings(**chosen), limits


def text_settings(folder: Path, kind: str, tower: TowerConfig) -> Any:
    """Return text settings with the directory's `tokenizer.json`.

    Raises:
        CheckpointError: there is no such file.
    """
    assert isinstance(tower.stem, TokenStem)
    path = folder / TOKENIZER
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
        if not path.is_file():
            continue
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return dict(values if path is alone else values.get("image_processor", {}))
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(path, f"not readable: {error}") from error
    return {}


def _pad_id(path: Path) -> int:
    """Return the padding id: the tokenizer's own, or that of its `<pad>`, else SigLIP's 1."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    found = tokenizer.token_to_id("<pad>")
    return 1 if found is None else int(found)
