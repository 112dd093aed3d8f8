"""PE-AV (Apache-2.0): `pe-av:organization/name#audio`, `#video` or `#audio-video`.

It has three text heads: each is a space of its own, with the same vectors of sounds and frames.
Computed by Transformers, whose tower of frames needs timm; texts and sounds of `#audio` don't.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from openbind.checkpoints.references import (
    SCALE,
    Reference,
    attach,
    check_complete,
    make_tokenize,
    opened,
    precision_on,
    read_config,
    resolve,
)
from openbind.checkpoints.repository import read_json
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import BYTES, CHARACTERS_PER_TOKEN, TextSettings
from openbind.modalities.video import VideoSettings
from openbind.model.backbones.pe_av import PeAvConfig, PeAvTower, embed_together
from openbind.model.backbones.reference import OpenModel
from openbind.signal.front_ends import Waveform
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.inference import inferring, placed
from openbind.space.space import Space

PREFIX = "pe-av:"
KIND = "pe_av"
"""Of its towers."""
OFFERED = ("image", "video", "text", "audio")
HEADS = {
    "audio": "audio_model.text_audio_head",
    "video": "video_model.text_video_head",
    "audio-video": "text_audio_video_head",
}
"""Space → its head of texts."""
_SOUNDS = HEADS["audio"]
TOKENS = 512
"""Of a text."""
SIDE = 336
"""Rows and columns of frames, of models that don't say."""
CLIP_SECONDS, FRAMES = 16.0, 16
"""Of a clip of sound or video, and its frames."""
_HALF = (0.5, 0.5, 0.5)
_ONE_TABLE, _TABLES = r".*\.rope\.pos_embed", r".*\.rope\."


def load_pe_av(
    name: str,
    *,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load a PE-AV as the space of one of its text heads.

    Args:
        name: "organization/name#SPACE", "organization/name@revision#SPACE", or the path of a
            directory and "#SPACE"; the space is "audio", "video" or "audio-video".
        modalities: load only these; None loads image, video, text and audio, of "#audio" without
            timm text and audio.
        device: of the model.
        dtype: precision to compute in; None is float32 on a CPU, else the model's own.

    Raises:
        CheckpointError: no such repository or directory, another model, weights are missing, or
            frames without timm.
        UnknownNameError: no such space or modality.
        MissingExtraError: Transformers isn't installed.
    """
    place, _, head = name.rpartition("#")
    if head not in HEADS or not place:
        what = f"space of {PREFIX}{place or name}, after #"
        raise UnknownNameError(what, head if place else "", HEADS)
    where = resolve(PREFIX, place)
    chosen = list(_computable(head) if modalities is None else modalities)
    for modality in chosen:
        if modality not in OFFERED:
            raise UnknownNameError(f"modality of {name}", modality, OFFERED)
    config = _make_config(where, head).narrow(chosen)
    model = open_model([spec.config for spec in config.towers.values()], device, dtype)
    precision = str(next(model.network.parameters()).dtype).removeprefix("torch.")
    config = replace(config, dtype=precision)
    limits = (
        "Texts have the head that was trained against "
        + {"audio": "sounds.", "video": "video."}.get(
            head, "the joint vectors of frames and their sound, which `embed_videos` computes."
        ),
        "Logits of the model itself are of vectors that aren't normalized; here they are.",
    )
    return attach(config, model, where.describe("Transformers", OFFERED, limits))


def _computable(head: str) -> tuple[str, ...]:
    """Return the modalities that can be computed here."""
    without_frames = HEADS[head] == _SOUNDS and importlib.util.find_spec("timm") is None
    return ("text", "audio") if without_frames else OFFERED


def open_model(
    configs: Sequence[Any], device: str | torch.device, dtype: torch.dtype | None
) -> OpenModel:
    """Open what towers need of a model; as `sentence_transformers.open_model`.

    Without frames, and with the text head of sounds, only these two are read.
    """
    where = Reference(configs[0].name, configs[0].revision)
    whole = any(each.size or each.head not in ("", _SOUNDS) for each in configs)
    read = partial(_read, where, precision_on(device, dtype), whole)
    try:
        model: OpenModel = opened(where.name, "transformers", "st", read)
    except CheckpointError as error:
        if "needs timm" in error.reason:
            advice = "; text and audio of #audio need no frames"
            raise CheckpointError(where.name, error.reason + advice) from error
        raise
    model.network.to(device)
    return model


def embed_videos(space: Space, videos: Iterable[Any]) -> np.ndarray:
    """Embed videos together with their sound, as the texts of `#audio-video` were trained.

    Args:
        space: of `#audio-video`.
        videos: paths or bytes of files that have sound.

    Returns:
        (n, dim) float32 with rows of unit length: of each file the mean over its clips.

    Raises:
        InputError: a file has no frames or no sound.
        UnknownNameError: the space has no video or no audio.
    """
    rows = []
    for item in videos:
        clips = [space.preprocess(modality, [item])[0] for modality in ("video", "audio")]
        frames, sounds = (space.towers[modality] for modality in ("video", "audio"))
        assert isinstance(frames, PeAvTower)
        assert isinstance(sounds, PeAvTower)
        with inferring(frames):
            joint = [
                F.normalize(
                    embed_together(
                        frames, sounds, placed(video[None], frames), placed(audio[None], sounds)
                    ).float()
                )
                for video, audio in zip(*clips, strict=False)
            ]
        rows.append(F.normalize(torch.cat(joint).mean(dim=0), dim=0).cpu().numpy())
    return np.stack(rows) if rows else np.zeros((0, space.dim), np.float32)


def _make_config(where: Reference, head: str) -> SpaceConfig:
    folder, values = where.fetch(["*.json"]), read_config(where, "pe_audio_video")
    try:
        dim = int(values["text_config"]["hidden_size"])
        dac = values["audio_video_config"]["audio_config"]["dac_config"]
        hop = math.prod(dac["downsampling_ratios"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"config.json: expected the settings of a PE-AV, without {error}"
        raise CheckpointError(where.name, reason) from error
    sounds = _processing(folder, "preprocessor_config.json", "feature_extractor")
    frames = _processing(folder, "video_preprocessor_config.json", "video_processor")
    rate_hz = int(sounds.get("sampling_rate", 48_000))
    size, mean, std = _size(frames), *(_numbers(frames, f"image_{n}") for n in ("mean", "std"))
    settings: dict[str, Any] = {
        "image": ImageSettings(size=size, fit="squash", filter="bilinear", mean=mean, std=std),
        "video": VideoSettings(
            size=size, crops=0, frames=FRAMES, clips="cover", clip_seconds=CLIP_SECONDS
        ),
        "text": TextSettings(tokenizer=BYTES, context=CHARACTERS_PER_TOKEN * TOKENS),
        "audio": AudioSettings(
            features=Waveform(rate_hz=rate_hz),
            clip_samples=int(CLIP_SECONDS * rate_hz),
            clips="cover",
            mono="mix",
            center=False,
        ),
    }
    own: dict[str, dict[str, Any]] = {
        "image": {"size": size},
        "video": {"size": size, "mean": mean, "std": std},
        "text": {"head": HEADS[head]},
        "audio": {"hop": hop},
    }
    towers = {
        name: TowerSpec(
            kind=KIND,
            config=PeAvConfig(name=where.name, revision=where.revision, embed_dim=dim, **values),
        )
        for name, values in own.items()
    }
    bindings = {
        name: Binding(tower=name, settings=settings[name], scale=SCALE if name == "text" else 1.0)
        for name in OFFERED
    }
    return SpaceConfig(
        name=f"{where.title}#{head}",
        dim=dim,
        towers=towers,
        modalities=bindings,
    )


def _processing(folder: Path, alone: str, part: str) -> dict[str, Any]:
    """Return the settings of a processor, from a file of its own or the joined one."""
    if (folder / alone).is_file():
        return read_json(folder / alone)
    joined = folder / "processor_config.json"
    found = read_json(joined).get(part) if joined.is_file() else None
    return found if isinstance(found, dict) else {}


def _size(frames: dict[str, Any]) -> int:
    found = frames.get("size") or {}
    sizes = found.values() if isinstance(found, dict) else [found]
    return next((int(side) for side in sizes if isinstance(side, int) and side > 0), SIDE)


def _numbers(frames: dict[str, Any], key: str) -> tuple[float, float, float]:
    found = frames.get(key)
    if not isinstance(found, list) or len(found) != 3:
        return _HALF
    return float(found[0]), float(found[1]), float(found[2])


def _read(where: Reference, dtype: torch.dtype | None, whole: bool) -> OpenModel:
    from transformers import AutoTokenizer

    folder = where.fetch(["*.json", "*.safetensors"])
    options: dict[str, Any] = {"dtype": dtype or "auto", "output_loading_info": True}
    read = _read_whole if whole else _read_sounds
    network, found = read(folder, options)
    check_complete(where.name, found, set())
    # Texts were read before the last normalization in training; Transformers reads them after it.
    network.text_model.final_norm = torch.nn.Identity()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    return OpenModel(network.eval(), make_tokenize(tokenizer, TOKENS))


def _read_whole(folder: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Read the whole model, whose encoders share weights, but not the tables of rotations.

    Transformers takes all of these tables but one for shared weights, and doesn't see how many
    outputs the tower of frames has.
    """
    from transformers import PeAudioVideoConfig, PeAudioVideoModel

    values = read_json(folder / "config.json")
    vision = values["audio_video_config"]["video_config"]["vision_config"]
    if "num_classes" in vision:
        vision.setdefault("num_labels", vision["num_classes"])
    options = {**options, "config": PeAudioVideoConfig.from_dict(values)}
    tied = PeAudioVideoModel._tied_weights_keys
    exact = {key.replace(_ONE_TABLE, _TABLES): target for key, target in tied.items()}
    exact = {key: target.replace(_ONE_TABLE, _TABLES) for key, target in exact.items()}
    kind: Any = type("PeAudioVideoModel", (PeAudioVideoModel,), {"_tied_weights_keys": exact})
    network, found = kind.from_pretrained(folder, **options)
    return network, found


def _read_sounds(folder: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Read the models of sounds and texts, without that of frames."""
    from transformers import PeAudioConfig, PeAudioModel

    values = read_json(folder / "config.json")
    config = PeAudioConfig(
        text_config=values["text_config"], audio_config=values["audio_video_config"]["audio_config"]
    )
    sounds, found = PeAudioModel.from_pretrained(
        folder, config=config, key_mapping={r"^audio_model\.": ""}, **options
    )
    network = torch.nn.Module()
    network.audio_model, network.text_model = sounds, sounds.text_model
    return network, found
