"""How a Hugging Face directory says that pictures and words are prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openbind.errors import CheckpointError
from openbind.modalities import MODALITIES
from openbind.model.config import PatchStem, TokenStem, TowerConfig

TOKENIZER = "tokenizer.json"
_BICUBIC = 3
"""Pillow's number of the filter."""
_HALF = (0.5, 0.5, 0.5)


def image_settings(folder: Path, kind: str, tower: TowerConfig) -> tuple[Any, list[str]]:
    """Read `preprocessor_config.json` (or the part of `processor_config.json`).

    What it leaves out has the defaults of transformers: CLIP cuts the middle out, SigLIP scales
    both sides and has a mean and deviation of 0.5.

    Returns:
        the settings, and a sentence for everything that openbind does otherwise.
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
    if values.get("resample", _BICUBIC) != _BICUBIC:
        limits.append(
            "Pictures are resized bicubically; in the model's own preprocessing with Pillow's "
            f"filter {values['resample']}."
        )
    resized = values.get("size", size)
    resized = set(resized.values()) if isinstance(resized, dict) else {resized}
    if resized != {size}:
        limits.append(f"Pictures are resized to {size} pixels; the model's own size is {resized}.")
    return MODALITIES.get("image").settings(**chosen), limits


def text_settings(folder: Path, kind: str, tower: TowerConfig) -> tuple[Any, list[str]]:
    """Settings of words in the vocabulary of the directory's `tokenizer.json`.

    Returns:
        the settings, and a sentence for everything that openbind does otherwise.

    Raises:
        CheckpointError: there is no such file, or texts are filled up with another id than 0 and
            the tower reads what fills them up.
    """
    assert isinstance(tower.stem, TokenStem)
    path = folder / TOKENIZER
    if not path.is_file():
        raise CheckpointError(path, "no such file; the vocabulary has to be beside the weights")
    limits = []
    if kind == "siglip":
        pad = _pad_id(path)
        if pad:
            raise CheckpointError(
                path, f"fills texts up with id {pad}, which the tower reads; openbind takes 0"
            )
        limits.append("Texts were in lower case in training; give them so.")
    settings = MODALITIES.get("text").settings(tokenizer=TOKENIZER, context=tower.stem.context)
    return settings, limits


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
    """The id that fills texts up: the tokenizer's own, or that of its `<pad>`, else SigLIP's 1."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    found = tokenizer.token_to_id("<pad>")
    return 1 if found is None else int(found)
