"""TIPSv2 (Apache-2.0): `tipsv2:organization/name`, or `tipsv2:` and a directory.

Computed by Transformers; texts, images and the patches of images are in one space, so queries of
any modality that is trained onto it are located in images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch

from openbind.checkpoints.references import (
    Reference,
    attach,
    check_complete,
    make_tokenize,
    opened,
    precision_on,
    read_config,
    resolve,
)
from openbind.errors import UnknownNameError
from openbind.modalities import IMAGE, TEXT
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import BYTES, CHARACTERS_PER_TOKEN, TextSettings
from openbind.model.backbones.reference import OpenModel
from openbind.model.backbones.tipsv2 import Tipsv2Config
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

PREFIX = "tipsv2:"
KIND = "tipsv2"
"""Of its towers."""
OFFERED = (IMAGE, TEXT)
TEMPERATURE = "temperature"
"""The one weight that published checkpoints lack; the config has it."""


def load_tipsv2(
    name: str,
    *,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load a TIPSv2 as a space of images and text, in whose images things are located.

    Args:
        name: "organization/name", "organization/name@revision", or the path of a directory.
        modalities: load only these; None loads both.
        device: of the model.
        dtype: precision to compute in; None is float32 on a CPU, else the model's own.

    Raises:
        CheckpointError: no such repository or directory, another model, or weights are missing.
        UnknownNameError: the model has no such modality.
        MissingExtraError: Transformers isn't installed.
    """
    where = resolve(PREFIX, name)
    chosen = list(OFFERED if modalities is None else modalities)
    for modality in chosen:
        if modality not in OFFERED:
            raise UnknownNameError(f"modality of {name}", modality, OFFERED)
    read_config(where, KIND)
    model = _open(where, device, dtype)
    config = _make_config(where, model.network).narrow(chosen)
    return attach(config, model, where.describe("Transformers", OFFERED))


def open_model(
    configs: Sequence[Any], device: str | torch.device, dtype: torch.dtype | None
) -> OpenModel:
    """Open the model of a saved space's towers; as `sentence_transformers.open_model`."""
    return _open(Reference(configs[0].name, configs[0].revision), device, dtype)


def _make_config(where: Reference, network: Any) -> SpaceConfig:
    vision, text = network.config.vision_config, network.config.text_config
    dim = vision.hidden_size
    side = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    towers = {
        part: TowerSpec(
            kind=KIND,
            config=Tipsv2Config(name=where.name, revision=where.revision, part=part, embed_dim=dim),
        )
        for part in OFFERED
    }
    squashed = ImageSettings(
        size=side, fit="squash", filter="bilinear", mean=(0, 0, 0), std=(1, 1, 1)
    )
    context = CHARACTERS_PER_TOKEN * text.max_position_embeddings
    scale = 1 / float(network.temperature)
    modalities = {
        IMAGE: Binding(tower=IMAGE, settings=squashed),
        TEXT: Binding(
            tower=TEXT, settings=TextSettings(tokenizer=BYTES, context=context), scale=scale
        ),
    }
    precision = str(next(network.parameters()).dtype).removeprefix("torch.")
    return SpaceConfig(
        name=where.title, dim=dim, towers=towers, modalities=modalities, dtype=precision
    )


def _open(where: Reference, device: str | torch.device, dtype: torch.dtype | None) -> OpenModel:
    model: OpenModel = opened(
        where.name, "transformers", "st", partial(_read, where, precision_on(device, dtype))
    )
    model.network.to(device)
    return model


def _read(where: Reference, dtype: torch.dtype | None) -> OpenModel:
    from transformers import AutoTokenizer, Tipsv2Model

    network, found = Tipsv2Model.from_pretrained(
        where.name, revision=where.commit, dtype=dtype or "auto", output_loading_info=True
    )
    check_complete(where.name, found, {TEMPERATURE})
    tokenizer = AutoTokenizer.from_pretrained(where.name, revision=where.commit)
    length = network.config.text_config.max_position_embeddings

    return OpenModel(network.eval(), make_tokenize(tokenizer, length))
