"""Models of sentence-transformers as spaces: `st:organization/name`, or `st:` and a directory.

Items are decoded and resampled here; the model tokenizes, resizes and computes. A saved space holds
the model's name, revision and settings, and none of its weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from openbind.checkpoints.references import (
    SCALE,
    Reference,
    attach,
    opened,
    precision_on,
    resolve,
)
from openbind.configs import Width
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities import IMAGE
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import BYTES, CHARACTERS_PER_TOKEN, TextSettings
from openbind.modalities.video import VideoSettings
from openbind.model import TOWERS
from openbind.signal.front_ends import Waveform
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

PREFIX = "st:"
KIND = "sentence_transformer"
"""Of its towers."""
MODALITIES_OFFERED = ("image", "video", "text", "audio")
TRUST_VARIABLE = "OPENBIND_TRUST_REMOTE_CODE"
"""Comma-separated names of the repositories whose own code may run."""
MAX_SCALE = 100.0
WITHOUT_CELLS = "Its image tower has no cells, so nothing is located in images."
TOKENS = 512
"""Tokens of a text, of models that don't say."""
CLIP_SECONDS = 30.0
"""Length of a clip of sound, of models that don't say."""
MAX_BYTES = 65_536
"""Of a text."""
VIDEO = VideoSettings(size=448, crops=0, frames=16, clips="cover", clip_seconds=16.0)
"""One frame a second, as embedding models are used."""


@dataclass(frozen=True, kw_only=True)
class AnchorOptions:
    """How a model of sentence-transformers is asked.

    Args:
        truncate_dim: keep so many dimensions of each vector; None keeps all.
        prompts: modality → the text before each input, or the name of one of the model's own
            prompts; of other modalities the model's default, which most models don't have.
    """

    truncate_dim: Width | None = None
    prompts: dict[str, str] = field(default_factory=dict)


def load_sentence_transformer(
    name: str,
    *,
    options: AnchorOptions | None = None,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    trust_remote_code: bool = False,
) -> Space:
    """Load a model as a space of what it embeds of text, images, audio and video.

    Args:
        name: "organization/name", "organization/name@revision", or the path of a directory; also
            one that Transformers wrote (CLIP, CLAP, SigLIP 2).
        options: prompts and truncation.
        modalities: load only these; None loads all.
        device: of the model.
        dtype: precision to compute in; None is float32 on a CPU, else the model's own.
        trust_remote_code: run code of the repository, if the model needs it.

    Raises:
        CheckpointError: no such repository or directory, not readable by sentence-transformers,
            it needs code of its own, or it has fewer dimensions than `truncate_dim`.
        UnknownNameError: the model has no such modality.
        MissingExtraError: sentence-transformers isn't installed.
    """
    options = options or AnchorOptions()
    where = resolve(PREFIX, name)
    model = _open_model(where, device, dtype, trust_remote_code)
    offered = [modality for modality in MODALITIES_OFFERED if modality in model.modalities]
    if not offered:
        found = ", ".join(map(str, model.modalities)) or "nothing"
        raise CheckpointError(
            name, f"expected a model of text, images, audio or video, found one of {found}"
        )
    chosen = list(offered if modalities is None else modalities)
    for modality in [*chosen, *options.prompts]:
        if modality not in offered:
            raise UnknownNameError(f"modality of {name}", modality, offered)
    config = _make_config(where, model, offered, options).narrow(chosen)
    limits = [WITHOUT_CELLS] if IMAGE in offered else []
    return attach(config, model, where.describe("sentence-transformers", offered, limits))


def _make_config(
    where: Reference, model: Any, offered: list[str], options: AnchorOptions
) -> SpaceConfig:
    """Return the config of a model's space: a tower and a binding for each modality."""
    dim = _embed_dim(where.name, model, options.truncate_dim)
    towers, bindings = {}, {}
    for modality in offered:
        settings, rate_hz = _settings(modality, model)
        config = TOWERS.get(KIND).config_type(
            name=where.name,
            revision=where.revision,
            part=modality,
            embed_dim=dim,
            prompt=_prompt(modality, model, options),
            rate_hz=rate_hz,
        )
        towers[modality] = TowerSpec(kind=KIND, config=config)
        scale = _scale(model) if isinstance(settings, TextSettings) else 1.0
        bindings[modality] = Binding(tower=modality, settings=settings, scale=scale)
    return SpaceConfig(
        name=where.title,
        dim=dim,
        towers=towers,
        modalities=bindings,
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
    )


def open_model(
    configs: Sequence[Any], device: str | torch.device, dtype: torch.dtype | None
) -> Any:
    """Open the model of a saved space's towers.

    Args:
        configs: of the towers, which share it.
        device: of the model.
        dtype: precision to compute in.

    Raises:
        CheckpointError, MissingExtraError: as `load_sentence_transformer`.
    """
    where = Reference(configs[0].name, configs[0].revision)
    return _open_model(where, device, dtype, trust_remote_code=False)


def _open_model(
    where: Reference,
    device: str | torch.device,
    dtype: torch.dtype | None,
    trust_remote_code: bool,
) -> Any:
    """Open a model; code of its repository runs only if the user trusts it."""
    name = where.name
    trusted = os.environ.get(TRUST_VARIABLE, "").replace(" ", "").split(",")
    trust = trust_remote_code or name in trusted
    precision = precision_on(device, dtype)

    def read() -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            name,
            revision=where.commit,
            device=str(device),
            trust_remote_code=trust,
            model_kwargs={} if precision is None else {"dtype": precision},
        )

    try:
        return opened(name, "sentence_transformers", "st", read)
    except CheckpointError as error:
        if trust or "trust_remote_code" not in str(error.__cause__):
            raise
        raise CheckpointError(
            name,
            "needs Python code of its repository to run. Read that code; to trust it: "
            f"trust_remote_code=True, or {TRUST_VARIABLE}={name}",
        ) from error


def _embed_dim(name: str, model: Any, truncate_dim: int | None) -> int:
    dim = model.get_embedding_dimension()
    if not isinstance(dim, int):
        raise CheckpointError(name, "the model doesn't say how many dimensions it has")
    if truncate_dim is not None and truncate_dim > dim:
        reason = f"truncate_dim: expected at most its {dim} dimensions, found {truncate_dim}"
        raise CheckpointError(name, reason)
    return truncate_dim or dim


def _prompt(modality: str, model: Any, options: AnchorOptions) -> str:
    """Return the prompt of a modality: the caller's, by its name or as text, or the default."""
    own = {key: str(text) for key, text in (model.prompts or {}).items()}
    if modality in options.prompts:
        given = options.prompts[modality]
        return own.get(given, given)
    return own.get(model.default_prompt_name or "", "")


def _settings(modality: str, model: Any) -> tuple[Any, float]:
    """Return how items are decoded for the model, and the rate of their samples or frames."""
    if modality == "text":
        tokens = getattr(model, "max_seq_length", None) or TOKENS
        context = int(min(MAX_BYTES, CHARACTERS_PER_TOKEN * tokens))
        return TextSettings(tokenizer=BYTES, context=context), 0.0
    if modality == "image":
        return ImageSettings(size=VIDEO.size, fit="none"), 0.0
    if modality == "video":
        return VIDEO, VIDEO.frames / VIDEO.clip_seconds
    processor = getattr(model.processor, "feature_extractor", model.processor)
    rate_hz = int(getattr(processor, "sampling_rate", Waveform().rate_hz))
    limits = (getattr(processor, key, None) for key in ("nb_max_samples", "n_samples"))
    longest = next(filter(None, limits), int(CLIP_SECONDS * rate_hz))
    settings = AudioSettings(
        features=Waveform(rate_hz=rate_hz),
        clip_samples=int(longest),
        clips="cover",
        mono="mix",
        center=False,
    )
    return settings, float(rate_hz)


def _scale(model: Any) -> float:
    """Return the logit scale: the model's own, where it stores one."""
    for name, value in model.named_parameters():
        if name.rpartition(".")[2] in ("logit_scale", "logit_scale_a") and value.numel() == 1:
            return min(float(value.detach().float().exp()), MAX_SCALE)
    return SCALE
