"""Put a built generator into the starter's folder, and its numbers and sources onto the card.

    python recipes/starter/generator/ship.py --out DIRECTORY --space FOLDER

DIRECTORY is what `build.py` wrote. What an earlier generator said on the card is replaced.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from openbind.checkpoints import native
from openbind.checkpoints.formats import CONFIG
from openbind.configs import to_dict
from openbind.evaluation.metrics import fraction_interval
from openbind.space.card import Card, Measurement, Source, to_model_card

DRAWN = "drawn image"
"""Part of the names of the generator's tasks."""
USE = "images that the generator learned from"
SOURCES = (
    ("openclipart", "public domain", "openclipart-png 1:0.18+dfsg-19 (Debian)"),
    ("Fluent emoji 3D", "MIT", "@lobehub/fluent-emoji-3d 1.1.0 (npm)"),
    ("Noto Emoji", "Apache-2.0", "emoji-datasource-google 16.0.0 (npm)"),
    ("Twemoji", "CC-BY-4.0", "emoji-datasource-twitter 16.0.0 (npm), by Twitter and contributors"),
)
CHOSEN = (
    "the nearest of eight candidates by the starter itself; settings were chosen on a fifth of the "
    "classes, these are the others; some come from earlier looks at all classes, so the result may "
    "be a little optimistic"
)
HELD = {
    "text": f"nouns; drawn from their names, which weren't learned from; {CHOSEN}",
    "audio": "ESC-50, fold 4; head of sounds trained on folds 1 to 3 (the shipped one on all "
    f"four); {CHOSEN}",
}
MARK = "Generated images"
"""Begins the limits that are about them."""


def main() -> None:
    """Change the folder's card, digests and generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "space"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    numbers = json.loads((options.out / "numbers.json").read_text(encoding="utf-8"))
    folder = options.space
    shutil.copyfile(options.out / native.GENERATOR, folder / native.GENERATOR)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config[native.DIGESTS] |= native.compute_digests(folder, [native.GENERATOR])
    write_json(folder / CONFIG, config)
    card = describe(native.read_card(folder), numbers)
    write_json(folder / native.CARD, to_dict(card))
    read = native.read_config(folder)
    text = to_model_card(read.name, list(read.modalities), card)
    (folder / native.README).write_text(text, encoding="utf-8")


def describe(card: Card, numbers: dict[str, dict[str, float]]) -> Card:
    """Return a card that says what the generator was learned from, and what it draws."""
    sources = [Source(name=n, use=USE, license=own, origin=o) for n, own, o in SOURCES]
    own = [measure(modality, numbers[modality]) for modality in HELD]
    measured = [found for pair in own for found in pair]
    return replace(
        card,
        sources=(*(s for s in card.sources if s.use != USE), *sources),
        measurements=(*(m for m in card.measurements if DRAWN not in m.task), *measured),
        limits=(*(text for text in card.limits if not text.startswith(MARK)), *limit(numbers)),
    )


def measure(modality: str, found: dict[str, float]) -> list[Measurement]:
    """Return what a judge sees in images drawn from a modality, and how many are copies."""
    classes = int(found["classes"])
    about = (
        f"{HELD[modality]}; EfficientNet-Lite0 as judge: real held-out drawings "
        f"{found['ceiling']:.2f}, nearest drawing {found['retrieval']:.2f}, shuffled "
        f"{found['floor']:.2f}"
    )
    agreement = Measurement(
        task=f"{modality} → {DRAWN}",
        metric=f"class agreement, {classes} names",
        value=found["agreement"],
        chance=1 / classes,
        data=about,
        modalities=("image", modality),
        interval=(found["low"], found["high"]),
        count=int(found["items"]),
    )
    copied = Measurement(
        task=f"{modality} → {DRAWN}",
        metric="copies of what was learned from",
        value=found["copied"],
        chance=0.01,
        data="the judge's features; nearer to a drawing than 99 % of held-out ones are",
        modalities=("image", modality),
        interval=fraction_interval(found["copied"], int(found["items"])),
        count=int(found["items"]),
    )
    return [agreement, copied]


def limit(numbers: dict[str, dict[str, float]]) -> list[str]:
    """Return what generated images are not, with the numbers."""
    text, audio = (
        numbers[name]["agreement"] / numbers[name]["ceiling"] for name in ("text", "audio")
    )
    return [
        f"{MARK} are rough drawings of single things, 96 pixels wide: a judge names those drawn "
        f"from nouns {text:.2f} times as often right as real drawings, those drawn from sounds "
        f"{audio:.2f} times. Faces, scenes, numbers and letters don't come out."
    ]


def write_json(path: Path, values: object) -> None:
    """Write values as the folder's other files are."""
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
