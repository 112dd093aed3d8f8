"""`openbind doctor`: what is installed, what can be read, how fast it is, what to install."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from openbind import __version__
from openbind.cli.verb import (
    Verb,
    add_compute_arguments,
    add_space_arguments,
    compute_options,
    load_space,
    print_json,
    print_line,
)
from openbind.modalities import MODALITIES

if TYPE_CHECKING:
    from openbind.space.space import Space

LIBRARIES = ("torch", "numpy", "pillow", "soundfile", "safetensors", "tokenizers")
PURPOSES = {
    "av": "videos, and sounds of phones",
    "pyarrow": "Parquet files",
    "flyr": "temperatures of FLIR cameras",
    "pi-heif": "photographs of phones",
    "imagecodecs": "JPEG XL",
    "pyyaml": "training",
    "peft": "training by LoRA",
    "scikit-learn": "the map of a report",
    "scipy": "some public test sets",
    "lancedb": "indexes",
    "qdrant-client": "export to Qdrant",
    "ray": "embedding on a cluster",
    "fastapi": "the service",
    "diffusers": "large decoders",
    "sentence-transformers": "models of others as spaces",
    "transformers": "OWLv2",
    "wandb": "logging to W&B",
    "onnxruntime": "exported spaces",
    "openvino": "exported spaces",
}
"""What packages of extras are for."""
NEEDS = {
    "pi_heif": {".heic", ".heif", ".hif"},
    "imagecodecs": {".jxl"},
    "av": {".aac", ".ac3", ".amr", ".m4a", ".m4b", ".mka", ".spx", ".weba", ".wma"},
}
"""Import name of a package → extensions that can't be read without it, beside those of video."""
COLLECTIONS = ("all", "dev")
"""Extras of extras."""
TIMED = 4
"""Items by which a tower's speed is measured."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_space_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look, measure, print."""
    found: dict[str, Any] = {
        "openbind": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: find_version(name) for name in LIBRARIES},
        "devices": _list_devices(),
        "cache": _describe_cache(),
        "extras": list_extras(),
        "formats": list_formats(),
    }
    if not arguments.json:
        _print(found)
    space = load_space(arguments)
    found["space"] = {"name": space.name, "dim": space.dim, "device": str(space.device)}
    found["items_per_second"] = measure_speeds(space, arguments)
    if arguments.json:
        print_json(found)
    else:
        _print_speeds(found)
    return 0


def find_version(package: str) -> str | None:
    """Return the version of an installed package; None if it isn't."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def list_extras() -> dict[str, dict[str, list[str]]]:
    """Return, for each extra of openbind, its packages that are installed, and that are missing."""
    try:
        required = importlib.metadata.requires("openbind") or []
    except importlib.metadata.PackageNotFoundError:  # run from its source
        required = []
    return split_extras(required)


def split_extras(required: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Read requirements such as "av>=14; extra == 'video'", see `list_extras`."""
    extras: dict[str, dict[str, list[str]]] = {}
    for line in required:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if name is None or extra is None or extra[1] in COLLECTIONS or name[0] == "openbind":
            continue
        state = "missing" if find_version(name[0]) is None else "installed"
        known = extras.setdefault(extra[1], {"installed": [], "missing": []})
        known[state].append(name[0])
    return extras


def list_formats() -> dict[str, dict[str, list[str]]]:
    """Return, for each modality of files, the extensions that can be read here, and that can't."""
    missing = {package for package in NEEDS if find_spec(package) is None}
    lacking = {extension for package in missing for extension in NEEDS[package]}
    formats = {}
    for name in MODALITIES.names():
        modality = MODALITIES.get(name)
        extensions = modality.extensions
        if not extensions:
            continue
        if "av" in missing and extensions >= {".mkv", ".mov"}:
            lacking |= extensions
        read = sorted(extensions - lacking)
        formats[name] = {"read": read, "not_read": sorted(extensions & lacking)}
    return formats


def measure_speeds(space: Space, arguments: argparse.Namespace) -> dict[str, float | None]:
    """Return items per second by modality, decoding included; None without items that ship."""
    from openbind.evaluation.builtin import find_sets
    from openbind.evaluation.samples import read_sample_set, samples_folder

    sets = [read_sample_set(samples_folder()), *find_sets()]
    speeds: dict[str, float | None] = {}
    for name in space.modalities:
        sides = [held.sides[name] for held in sets if name in held.sides]
        if not sides:
            speeds[name] = None
            continue
        changed = space.with_settings(name, **sides[0].settings) if sides[0].settings else space
        items = [item.content for item in sides[0].items[: TIMED + 1]]
        changed.encode(name, items[:1])
        start = time.perf_counter()
        changed.encode(name, items[1:] or items, **compute_options(arguments))
        seconds = time.perf_counter() - start
        speeds[name] = round((len(items) - 1 or 1) / seconds, 1)
    return speeds


def _list_devices() -> list[dict[str, Any]]:
    import torch

    devices: list[dict[str, Any]] = [
        {"device": "cpu", "name": _processor(), "threads": torch.get_num_threads()}
    ]
    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory
        name = torch.cuda.get_device_name(number)
        devices.append({"device": f"cuda:{number}", "name": name, "bytes": memory})
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU"})
    return devices


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _describe_cache() -> dict[str, Any]:
    from openbind.download import cache_directory

    folder = cache_directory()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    writable = os.access(folder if folder.is_dir() else folder.parent, os.W_OK)
    size = sum(path.stat().st_size for path in files)
    return {"folder": str(folder), "bytes": size, "writable": writable}


def _print(found: Mapping[str, Any]) -> None:
    """Print everything but the speeds, which take a while."""
    print_line(f"openbind {found['openbind']}, Python {found['python']}, {found['system']}")
    print_line(", ".join(f"{name} {version}" for name, version in found["libraries"].items()))
    for device in found["devices"]:
        memory = f", {device['bytes'] / 1e9:.0f} GB" if "bytes" in device else ""
        threads = f", {device['threads']} threads" if "threads" in device else ""
        print_line(f"device    {device['device']}: {device['name']}{memory}{threads}")
    cache = found["cache"]
    state = "" if cache["writable"] else ", not writable"
    print_line(f"cache     {cache['folder']}: {cache['bytes'] / 1e6:,.1f} MB{state}")
    for name, formats in found["formats"].items():
        lacking = ", ".join(formats["not_read"])
        print_line(
            f"reads     {name}: {' '.join(formats['read'])}{'; not ' * bool(lacking)}{lacking}"
        )
    for extra, packages in found["extras"].items():
        missing = packages["missing"]
        if not missing:
            print_line(f"extra     {extra}: installed")
            continue
        purposes = [PURPOSES[name] for name in missing if name in PURPOSES]
        brings = f" ({'; '.join(purposes)})" if purposes else ""
        print_line(f"extra     {extra}: pip install 'openbind[{extra}]'{brings}")


def _print_speeds(found: Mapping[str, Any]) -> None:
    space = found["space"]
    print_line(f"space     {space['name']}: {space['dim']} dimensions, on {space['device']}")
    for name, speed in found["items_per_second"].items():
        shown = "no items ship to measure it" if speed is None else f"{speed:,.1f} items a second"
        print_line(f"speed     {name}: {shown}")


VERB = Verb(
    "Show what is installed, what can be read, the devices, the cache and the speed of each "
    "modality, and what to install for more.",
    add_arguments,
    run,
)
