"""Names of spaces → spaces: what ships, what can be fetched, and what lies in a directory."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from openbind.checkpoints import formats, hub, native
from openbind.download import cache_directory, download
from openbind.errors import CheckpointError, UnknownNameError
from openbind.presets import PRESETS
from openbind.space.config import SpaceConfig
from openbind.space.space import Space

LICENSE_VARIABLE = "OPENBIND_ACCEPT_LICENSE"
"""Names of entries, comma-separated, whose license the user accepts."""
HUB = "hf:"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A space that has a name.

    Args:
        name: what `openbind.load` takes.
        license: of the weights; "" where there are none.
        source: where they come from, for people.
        config: what the space is made of, without its weights.
        url: of the file of weights, for those that are fetched.
        sizes: the fewest and the most bytes of that file.
        consent: what the user accepts by fetching it; "" where nothing has to be accepted.
    """

    name: str
    license: str
    source: str
    config: Callable[[], SpaceConfig]
    url: str = ""
    sizes: tuple[int, int] = (0, 0)
    consent: str = ""

    def path(self) -> Path | None:
        """Where its weights are, or will be; None if it has none."""
        if self.url:
            return cache_directory() / self.url.rsplit("/", 1)[1]
        return shipped(self.name) if self.name in SHIPPED else None

    def size_bytes(self) -> int:
        """Bytes of the weights on disk, or of the file to fetch."""
        path = self.path()
        if path is None:
            return 0
        if path.is_dir():
            return sum(p.stat().st_size for p in path.iterdir() if p.is_file())
        return path.stat().st_size if path.is_file() else self.sizes[0]

    def on_disk(self) -> bool:
        """Return whether it can be loaded without a download."""
        path = self.path()
        return path is not None and path.exists()


SHIPPED = ("starter",)
_WEIGHT_BYTES = 4_803_147_960
"""Tensors of imagebind_huge in float32: 1,200,781,057 parameters and the buffers with them."""
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="starter",
            license="see the card: openbind.load('starter').card",
            source="ships with openbind",
            config=lambda: native.read_config(shipped("starter")),
        ),
        Entry(
            name="imagebind_huge",
            license="CC-BY-NC-SA-4.0",
            source="Meta AI, arXiv 2305.05665",
            config=PRESETS["imagebind_huge"],
            url="https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
            # PyTorch's file adds names and padding: well under a hundredth.
            sizes=(_WEIGHT_BYTES, _WEIGHT_BYTES * 101 // 100),
            consent="CC-BY-NC-SA 4.0: for research, not for commercial use",
        ),
        Entry(name="base", license="", source="architecture to train", config=PRESETS["base"]),
        Entry(name="tiny", license="", source="architecture to train", config=PRESETS["tiny"]),
    )
}


def load(
    name: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    device: str = "auto",
    dtype: Any = "auto",
    weights: Literal["trained", "random"] = "trained",
    accept_license: bool = False,
) -> Space:
    """Load a space.

    Args:
        name: "starter", which ships in the package and works offline; "imagebind_huge", which is
            fetched once; a directory that `openbind.save` or a training run wrote, or of Hugging
            Face's CLIP or SigLIP; a file of ImageBind's or OpenCLIP's weights (`.pth`, `.bin`,
            `.safetensors`); or a repository of the Hugging Face hub, "hf:organization/name".
        modalities: load only what these need; None loads all.
        device: "auto" (a GPU if there is one), or what `torch.device` takes.
        dtype: "auto" (what the space says, else what the machine computes fastest in), or a torch
            type or its name.
        weights: "random" builds the architecture of a named model with initial weights, always
            the same.
        accept_license: accept the license that the weights are fetched under; so does
            $OPENBIND_ACCEPT_LICENSE with the name in it.

    Raises:
        UnknownNameError: no such name and no such directory, or no such modality in the space.
        CheckpointError: a file is missing, truncated, or doesn't fit; or weights have to be
            fetched and their license wasn't accepted.
    """
    place, precision = pick_device(device), _pick_dtype(dtype)
    wanted = None if modalities is None else list(modalities)
    if weights == "random":
        return _draw(str(name), wanted, place, precision)
    if weights != "trained":
        raise UnknownNameError("kind of weights", weights, ["trained", "random"])
    path = find(name, modalities=wanted, accept_license=accept_license)
    if not formats.is_native(path):
        space = formats.read(
            path, modalities=wanted, device=place, dtype=precision or _fastest(place)
        )
        return _named(space, str(name))
    space = native.load(path, modalities=wanted, device=place, dtype=precision)
    if precision is None and space.config.dtype is None:
        for tower in space.towers.values():
            tower.to(_fastest(place))
    return space


def find(
    name: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    accept_license: bool = False,
) -> Path:
    """Return the directory or file of a space, and fetch it if it has to be.

    Args:
        name: as in `load`.
        modalities: fetch only what these need, where that can be told.
        accept_license: as in `load`.

    Raises:
        UnknownNameError, CheckpointError: as `load` does.
    """
    if name in ENTRIES:
        return _find_entry(ENTRIES[str(name)], accept_license)
    said = str(name)
    if said.startswith(HUB):
        repo_id, _, revision = said.removeprefix(HUB).partition("@")
        return hub.pull(repo_id, modalities=modalities, revision=revision or None)
    path = Path(name).expanduser()
    if path.exists():
        return native.find_result(path)
    if isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        return hub.pull(name, modalities=modalities)
    raise UnknownNameError("space or directory", said, ENTRIES)


def shipped(name: str) -> Path:
    """The directory of a space that is in the package."""
    return Path(str(files("openbind"))) / "assets" / name


def pick_device(device: str) -> str:
    """Resolve "auto" to the fastest device that this machine has."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _find_entry(entry: Entry, accept_license: bool) -> Path:
    path = entry.path()
    if path is None:
        raise CheckpointError(
            entry.name, "no trained weights exist; weights='random' builds the architecture"
        )
    if path.exists():
        return path
    accepted = os.environ.get(LICENSE_VARIABLE, "").replace(" ", "").split(",")
    if entry.consent and not accept_license and entry.name not in accepted:
        raise CheckpointError(
            entry.name,
            f"not on disk. {entry.url} ({entry.sizes[0] / 1e9:.1f} GB) is under "
            f"{entry.consent}. To accept that and fetch it: accept_license=True, or "
            f"{LICENSE_VARIABLE}={entry.name}. Or give the path of the file",
        )
    print(f"fetching {entry.url} under {entry.consent}", file=sys.stderr)
    download(entry.url, path, entry.sizes)
    return path


def _named(space: Space, name: str) -> Space:
    """Return a space read from another project's weights the name that it was asked for by."""
    if name in ENTRIES:
        space.config = replace(space.config, name=name)
        space.card = replace(space.card, license=ENTRIES[name].license)
    return space


def _draw(name: str, modalities: list[str] | None, device: str, dtype: Any) -> Space:
    """Build the architecture of a named model; a tower's weights depend on its name alone."""
    import torch

    from openbind.model.initial import initialize

    if name not in PRESETS:
        raise UnknownNameError("architecture", name, PRESETS)
    config = PRESETS[name]()
    if modalities is not None:
        for modality in modalities:
            if modality not in config.modalities:
                raise UnknownNameError(f"modality of {name}", modality, config.modalities)
        config = config.narrow(modalities)
    precision = dtype or _fastest(device)
    towers = {}
    for tower_name, spec in config.towers.items():
        with torch.device("meta"):
            tower: Any = native.build_tower(spec)
        seed = torch.Generator().manual_seed(zlib.crc32(tower_name.encode()))
        tower = initialize(tower.to_empty(device="cpu"), seed).to(device, precision)
        towers[tower_name] = tower.eval().requires_grad_(False)
    named = str(precision).removeprefix("torch.")
    return Space(replace(config, dtype=named), towers)


def _fastest(device: str) -> Any:
    from openbind.model.precision import fastest_dtype

    return fastest_dtype(device)


def _pick_dtype(dtype: Any) -> Any:
    import torch

    if dtype == "auto":
        return None
    if isinstance(dtype, str):
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype):
            raise UnknownNameError("dtype", dtype, ["auto", "float32", "bfloat16", "float16"])
        return found
    return dtype
