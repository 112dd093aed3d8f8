"""Models of sentence-transformers as spaces: `st:organization/name`, or `st:` and a directory.

Items are decoded and resampled here; the model tokenizes, resizes and computes. A saved space holds
the model's name, revision and settings, and none of its weights.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from openbind.checkpoints.repository import fetch, read_license
from openbind.configs import Width
from openbind.errors import CheckpointError, MissingExtraError, UnknownNameError, first_line
from openbind.modalities.audio import AudioSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import BYTES, CHARACTERS_PER_TOKEN, TextSettings
from openbind.modalities.video import VideoSettings
from openbind.model import TOWERS
from openbind.signal.front_ends import Waveform
from openbind.space.card import Card, Source
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

PREFIX = "st:"
KIND = "sentence_transformer"
"""Of its towers."""
MODALITIES_OFFERED = ("image", "video", "text", "audio")
TRUST_VARIABLE = "OPENBIND_TRUST_REMOTE_CODE"
"""Comma-separated names of the repositories whose own code may run."""
SCALE = 20.0
"""Logit scale of models that store none, a temperature of 0.05, within the range that embedding
models are trained with."""
MAX_SCALE = 100.0
TOKENS = 512
"""Tokens of a text, of models that don't say."""
CLIP_SECONDS = 30.0
"""Length of a clip of sound, of models that don't say."""
MAX_BYTES = 65_536
"""Of a text."""
VIDEO = VideoSettings(size=448, crops=0, frames=16, clips="cover", clip_seconds=16.0)
"""One frame a second, as embedding models are used."""
_BLOCK = 1 << 20


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
    _import_library()
    where, revision, folder = _resolve(name)
    model = _open_model(where, revision, device, dtype, trust_remote_code)
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
    config = _make_config(where, revision, model, offered, options).narrow(chosen)
    towers = {tower: _attach(spec, model) for tower, spec in config.towers.items()}
    return Space(config, towers, _card(where, revision, folder, offered))


def _make_config(
    where: str, revision: str, model: Any, offered: list[str], options: AnchorOptions
) -> SpaceConfig:
    """Return the config of a model's space: a tower and a binding for each modality."""
    dim = _embed_dim(where, model, options.truncate_dim)
    towers, bindings = {}, {}
    for modality in offered:
        settings, rate_hz = _settings(modality, model)
        config = TOWERS.get(KIND).config_type(
            name=where,
            revision=revision,
            part=modality,
            embed_dim=dim,
            prompt=_prompt(modality, model, options),
            rate_hz=rate_hz,
        )
        towers[modality] = TowerSpec(kind=KIND, config=config)
        scale = _scale(model) if isinstance(settings, TextSettings) else 1.0
        bindings[modality] = Binding(tower=modality, settings=settings, scale=scale)
    return SpaceConfig(
        name=Path(where).name if Path(where).is_absolute() else where,
        dim=dim,
        towers=towers,
        modalities=bindings,
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
    )


def is_reference(spec: TowerSpec) -> bool:
    """Return whether a tower's weights are elsewhere, and its config says where."""
    return bool(getattr(TOWERS.get(spec.kind), "is_reference", False))


def open_references(
    specs: Mapping[str, TowerSpec], device: str | torch.device, dtype: torch.dtype | None
) -> dict[str, torch.nn.Module]:
    """Open the towers of a saved space whose weights are elsewhere; each model once.

    Args:
        specs: towers by name; those that have weights of their own are passed over.
        device: of the models.
        dtype: precision to compute in.

    Raises:
        CheckpointError: a model isn't there any more, or changed; else as when it was loaded.
        MissingExtraError: sentence-transformers isn't installed.
    """
    references = {name: spec for name, spec in specs.items() if is_reference(spec)}
    models: dict[tuple[str, str], Any] = {}
    for spec in references.values():
        key = (spec.config.name, spec.config.revision)
        if key not in models:
            _check_unchanged(*key)
            models[key] = _open_model(*key, device, dtype, trust_remote_code=False)
    return {
        name: _attach(spec, models[spec.config.name, spec.config.revision])
        for name, spec in references.items()
    }


def _attach(spec: TowerSpec, model: Any) -> torch.nn.Module:
    tower: torch.nn.Module = TOWERS.get(spec.kind)(spec.config, model)
    return tower.eval().requires_grad_(False)


def _resolve(name: str) -> tuple[str, str, Path | None]:
    """Return what to load, its revision, and the folder of a directory (None of a repository)."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        return str(folder), _digest(folder), folder
    repository, _, revision = name.partition("@")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", repository):
        raise CheckpointError(
            PREFIX + name, "no such directory, and not organization/name of a repository"
        )
    return repository, fetch(repository, ["config.json"], revision or None).name, None


def _check_unchanged(name: str, revision: str) -> None:
    """Compare a directory with the digest that a saved space has of it."""
    if not revision.startswith("sha256:"):
        if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
            raise CheckpointError(name, "expected organization/name of a repository")
        return
    if not Path(name).is_dir():
        raise CheckpointError(name, "no such directory, but the space refers to the model in it")
    if _digest(Path(name)) != revision:
        reason = "its files changed since the space was made, so its vectors may differ"
        raise CheckpointError(name, f"{reason}; load {PREFIX}{name} and save it again")


def _digest(folder: Path) -> str:
    """Hash the names and contents of a folder's files; hidden ones don't count."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        digest.update(f"/{relative.as_posix()} {path.stat().st_size}/".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _import_library() -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingExtraError(
            "a model of sentence-transformers", "sentence_transformers", "st"
        ) from error
    return sentence_transformers


def _open_model(
    name: str,
    revision: str,
    device: str | torch.device,
    dtype: torch.dtype | None,
    trust_remote_code: bool,
) -> Any:
    """Open a model; code of its repository runs only if the user trusts it."""
    trusted = os.environ.get(TRUST_VARIABLE, "").replace(" ", "").split(",")
    trust = trust_remote_code or name in trusted
    if dtype is None and torch.device(device).type == "cpu":
        dtype = torch.float32
    try:
        return _import_library().SentenceTransformer(
            name,
            revision=None if revision.startswith("sha256:") else revision,
            device=str(device),
            trust_remote_code=trust,
            model_kwargs={} if dtype is None else {"dtype": dtype},
        )
    except MissingExtraError:
        raise
    except Exception as error:  # of several libraries
        if not trust and "trust_remote_code" in str(error):
            raise CheckpointError(
                name,
                "needs Python code of its repository to run. Read that code; to trust it: "
                f"trust_remote_code=True, or {TRUST_VARIABLE}={name}",
            ) from error
        found = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, ImportError) and "torchvision" in str(error).lower():
            found = "its processor needs torchvision: pip install torchvision"
        reason = f"can't be opened by sentence-transformers ({found})"
        raise CheckpointError(name, reason) from error


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


def _card(name: str, revision: str, folder: Path | None, offered: list[str]) -> Card:
    if folder is None:
        license = read_license(fetch(name, ["README.md"], revision))
    else:
        license = read_license(folder)
    short = name if folder is None else folder.name
    return Card(
        summary=f"{short}, a model of sentence-transformers, at revision {revision}.",
        license=license,
        sources=(
            Source(
                name=short,
                use=f"frozen: {', '.join(offered)}",
                license=license or "not stated",
                origin=f"hf:{name}" if folder is None else name,
            ),
        ),
        limits=(
            f"The weights of {short} aren't included: they are read from its own repository or "
            "directory when the space is loaded, under their own license.",
            "Its image tower has no cells, so nothing is located in images.",
        ),
    )
