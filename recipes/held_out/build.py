"""Build the held-out sets that ship, `src/openbind/assets/held_out`.

    python recipes/held_out/build.py --work SCRATCH [--data DATA] [--rooms DIR]

Downloads what it needs into SCRATCH, the work folder of `recipes/starter/build.py`; existing files
are reused. DATA is that of `recipes/starter/build.py`, which never learns from what is taken here.
DIR holds rooms rendered by `recipes/rooms` (depth in millimetres), with `attribution.csv`.
`selection.csv` lists what is taken; running it again writes the same files.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
from PIL import Image, ImageDraw, ImageFont
from sound_effects import read_effect

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "starter"), str(HERE.parent / "samples")]

from collect import PACKAGES as STARTER_PACKAGES  # noqa: E402
from collect import Package, fetch  # noqa: E402
from motions import TEST, read_students, write_recording  # noqa: E402
from resources import read_resource  # noqa: E402

ASSETS = HERE.parents[1] / "src" / "openbind" / "assets"
TARGET, SAMPLES = ASSETS / "held_out", ASSETS / "samples"
COLUMNS = (
    *("path", "modality", "label", "pair", "set", "settings", "title", "author", "license"),
    *("source", "sha256"),
)
SIDE = 384
"""Pixels of the longer side of a photograph."""
FONT_SIZE, EMOJI_SIDE = 109, 160
"""The only size that the font's bitmaps have, and the white square that one is put on."""

GCOMPRIS = Package(
    registry="debian",
    name="gcompris-qt-data",
    version="3.1-2",
    license="by file",
    use="photographs and sounds",
)
OPENSFX = Package(
    registry="debian",
    name="openttd-opensfx",
    version="1.0.3-2",
    license="by file",
    use="sounds",
)
NOTO = Package(
    registry="debian",
    name="fonts-noto-color-emoji",
    version="2.042-0+deb12u1",
    license="OFL-1.1",
    use="drawings",
)
PACKAGES = (*(p for p in STARTER_PACKAGES if p.name == "aeon"), GCOMPRIS, OPENSFX, NOTO)

COLLECTIONS = Path("debian/usr/share/gcompris-qt/rcc")
EFFECTS = Path("debian/usr/share/games/openttd/baseset/opensfx/opensfx.cat")
FONT = Path("debian/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")

MOTIONS, ROOMS = "BasicMotions, test split", "furnished rooms"
SOUNDING = "things that sound"
FURNITURE = "furniture that no training used (sweethome3d-furniture, Debian)"
MADE = {"thermal": "synthetic thermal"}
MILLIMETRES = '{"units": "millimetres"}'
"""Settings of depth: the rendered PNGs have 16 bits."""

Row = dict[str, str]


@dataclass(frozen=True)
class Builder:
    """Write files of the selection, with a method for each package."""

    work: Path
    data: Path | None

    def place(self, row: Row, number: int) -> Row:
        """Write the file of a row of the selection; return its row of the table."""
        ways: dict[str, Callable[[Row, Path], Path]] = {
            "gcompris": self._gcompris,
            "opensfx": self._effect,
            "noto": self._emoji,
            "caltech101": self._photograph,
            "recordings": self._recording,
        }
        if row["package"] == "words":
            return {**row, "author": "openbind", "license": "Apache-2.0"} | {
                "source": "written for this collection"
            }
        if row["package"] == "samples":
            return row | _sample(row["file"])
        folder = TARGET / row["set"].split(",")[0].lower().replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number:03}-{row['label'].replace(' ', '-')}"
        path = ways[row["package"]](row, folder / name)
        return row | {
            "path": path.relative_to(TARGET).as_posix(),
            "sha256": _digest(path),
        }

    def _gcompris(self, row: Row, target: Path) -> Path:
        name, _, inner = row["file"].partition(":")
        content = read_resource((self.work / COLLECTIONS / name).read_bytes(), inner)
        kind = Path(inner).suffix
        if kind == ".webp":
            return _shrink(Image.open(io.BytesIO(content)).convert("RGB"), target)
        if kind == ".wav":
            return _write_sound(content, target)
        target = target.with_suffix(kind)
        target.write_bytes(content)
        return target

    def _photograph(self, row: Row, target: Path) -> Path:
        return _shrink(Image.open(self._find(row)).convert("RGB"), target)

    def _recording(self, row: Row, target: Path) -> Path:
        return _write_sound(self._find(row).read_bytes(), target)

    def _find(self, row: Row) -> Path:
        assert self.data is not None
        return self.data / row["file"]

    def _effect(self, row: Row, target: Path) -> Path:
        effects = (self.work / EFFECTS).read_bytes()
        return _write_sound(read_effect(effects, int(row["file"])), target)

    def _emoji(self, row: Row, target: Path) -> Path:
        font = ImageFont.truetype(self.work / FONT, FONT_SIZE)
        image = Image.new("RGB", (EMOJI_SIDE, EMOJI_SIDE), "white")
        drawing = ImageDraw.Draw(image)
        middle = (EMOJI_SIDE // 2, EMOJI_SIDE // 2)
        drawing.text(middle, row["file"], font=font, anchor="mm", embedded_color=True)
        target = target.with_suffix(".png")
        image.save(target, optimize=True)
        return target


def main() -> None:
    """Write the folder and its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rooms", type=Path)
    options = parser.parse_args()
    fetch(PACKAGES, options.work)
    for folder in TARGET.iterdir() if TARGET.exists() else ():
        if folder.is_dir():
            shutil.rmtree(folder)
    builder = Builder(options.work, options.data)
    with (HERE / "selection.csv").open(encoding="utf-8", newline="") as file:
        chosen = [r for r in csv.DictReader(file) if options.data or r["set"] != SOUNDING]
    rows = [builder.place(row, number) for number, row in enumerate(chosen)]
    rows += place_motions(options.work)
    if options.rooms is None:
        rows = [row for row in rows if row["set"] != ROOMS]
    else:
        rows += place_rooms(options.rooms)
    with (TARGET / "held_out.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, "", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def place_motions(work: Path) -> Iterator[Row]:
    """Write each recording of the test split as CSV; return its row."""
    for number, recording in enumerate(read_students(work / TEST)):
        label = recording.label
        path = TARGET / "basicmotions" / f"{number:02}-{label}.csv"
        write_recording(path, recording)
        yield {
            "path": path.relative_to(TARGET).as_posix(),
            "modality": "imu",
            "label": label,
            "set": MOTIONS,
            "title": f"{label}, recording {number}",
            "author": "students of the University of East Anglia, in the UEA archive",
            "license": "BSD-3-Clause",
            "source": f"{MOTIONS} (aeon 1.6.0, PyPI): line {number}",
            "sha256": _digest(path),
        }


def place_rooms(folder: Path) -> Iterator[Row]:
    """Copy each room's image and depth, or its video; return their rows, which share a scene."""
    target = TARGET / "rooms"
    target.mkdir(parents=True)
    with (folder / "attribution.csv").open(encoding="utf-8", newline="") as file:
        for number, room in enumerate(csv.DictReader(file)):
            names = {"image": "image", "depth": "depth", "thermal": "heat", "video": "video"}
            shown = {modality: room[column] for modality, column in names.items()}
            for modality, name in shown.items():
                if not name:
                    continue
                path = target / name
                shutil.copy(folder / name, path)
                yield {
                    "path": path.relative_to(TARGET).as_posix(),
                    "modality": modality,
                    "label": room["room"],
                    "pair": f"room {number}",
                    "set": ROOMS,
                    "settings": MILLIMETRES if modality == "depth" else "",
                    "title": f"{room['room']} ({MADE.get(modality, 'rendered')})",
                    "author": f"openbind, of models by {_join(room['authors'])}",
                    "license": _join(room["licenses"].replace(" ", "-").replace(";-", "; ")),
                    "source": f"{FURNITURE}: {room['models']}",
                    "sha256": _digest(path),
                }


def _join(names: str) -> str:
    """Join distinct names: "a; b; a" becomes "a and b"."""
    return " and ".join(dict.fromkeys(name.strip() for name in names.split(";")))


def _sample(path: str) -> Row:
    """Return a file's row of the samples' table; the file isn't copied."""
    with (SAMPLES / "samples.csv").open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["path"] == path]
    return {key: row[key] for key in ("modality", "title", "author", "license", "source")} | {
        "path": f"../samples/{path}",
        "sha256": row["sha256"],
    }


def _shrink(image: Image.Image, target: Path) -> Path:
    """Write a photograph as WebP with a longer side of at most 384 pixels."""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    target = target.with_suffix(".webp")
    image.save(target, "WEBP", quality=80, method=6)
    return target


def _write_sound(content: bytes, target: Path) -> Path:
    """Write mono MP3: Ogg streams have random serial numbers, FLAC is five times the size."""
    samples_TC, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    target = target.with_suffix(".mp3")
    soundfile.write(target, samples_TC.mean(axis=1), rate, format="MP3")
    return target


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
