"""openbind's own format: a directory of config.json, card.json, README.md and safetensors.

Each tower has its own safetensors file, so that one modality loads without the others.
config.json holds everything else that affects a vector; the directory includes the files that
preprocessing needs (a vocabulary).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from openbind.atomic import atomic_folder, recover_folder
from openbind.checkpoints.formats import CONFIG, CheckpointFormat, Listing
from openbind.checkpoints.generators import StoredGenerator
from openbind.checkpoints.references import is_reference, open_references
from openbind.checkpoints.repository import read_inside, read_json
from openbind.checkpoints.tensors import (
    SafetensorsFile,
    describe_difference,
    load_weights,
    read_weights,
)
from openbind.configs import from_dict, to_dict
from openbind.errors import (
    CheckpointError,
    ConfigError,
    UnknownNameError,
    first_line,
    shorten,
)
from openbind.modalities import IMAGE, MODALITIES
from openbind.model import TOWERS
from openbind.model.blank import blank_weights
from openbind.model.int8 import put_blank
from openbind.names import plain_name
from openbind.space.card import Card, to_model_card
from openbind.space.config import (
    DTYPES,
    SpaceConfig,
    TowerSpec,
    read_space_config,
    write_space_config,
)
from openbind.space.identity import image_side
from openbind.space.space import Space

VERSION = 1
CARD, README, WEIGHTS = "card.json", "README.md", ".safetensors"
GENERATOR = "generator.safetensors"
"""File of the decoder that draws images, if the space has one; also its key in `DIGESTS`."""
DIGESTS = "digests"
"""Key of config.json: file → SHA-256, of the weights and of what preprocessing needs."""
_BLOCK = 1 << 20
# What a network raises that can't be built.
_UNBUILDABLE: tuple[type[Exception], ...] = (ArithmeticError, AttributeError, MemoryError)
_UNBUILDABLE += (RuntimeError, TypeError, ValueError)
ATTRIBUTION = "attribution.csv.gz"
"""Who made what a space was learned from, in a file beside it."""
RESULT = "space"
"""Subfolder of a training run that holds the trained space."""


def save(
    space: Space, directory: str | os.PathLike[str], *, dtype: torch.dtype | None = None
) -> None:
    """Write a space to a directory; `openbind.load` restores it bit-exactly.

    Args:
        space: the space.
        directory: created if missing; an existing space in it is replaced as a whole.
        dtype: precision of the stored weights; None keeps theirs.

    Raises:
        CheckpointError: the directory holds something other than a space, or can't be written.
    """
    final = Path(directory)
    if final.exists() and any(final.iterdir()) and not (final / CONFIG).is_file():
        raise CheckpointError(final, "not empty and not a space; choose another directory")
    try:
        _check_config(space.config)
        with atomic_folder(final) as folder:
            _write(space, folder, dtype)
    except ConfigError as error:
        raise CheckpointError(final, f"`load` would refuse this space: {error}") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            final, f"couldn't be written ({error}); nothing was changed"
        ) from error


def load(
    directory: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load a space from a directory that `save` wrote.

    Args:
        directory: with config.json and one safetensors file per tower.
        modalities: read only what these need; None reads all.
        device: of the towers.
        dtype: precision to compute in; None takes the config's, or float32.

    Raises:
        CheckpointError: a file is missing, truncated, or doesn't match the config.
        UnknownNameError: the space has no such modality.
    """
    folder = Path(directory)
    (config, digests), card = _read_config(folder), read_card(folder)
    if modalities is not None:
        config = select_modalities(config, list(modalities))
    precision = dtype or getattr(torch, config.dtype or "float32")
    own = {name: spec for name, spec in config.towers.items() if not is_reference(spec)}
    blanks = {name: _build_blank(folder, name, spec) for name, spec in own.items()}
    _check_digests(folder, config, digests)
    towers = {
        name: load_weights(read_inside(folder, _weights_of(name)), blank, device, precision)
        for name, blank in blanks.items()
    }
    towers |= open_references(config.towers, device, precision)
    return Space(config, towers, card, folder, generator=_open_generator(folder))


def _open_generator(folder: Path) -> StoredGenerator | None:
    """Open the decoder in a folder; read, and compared with the image tower, when it draws."""
    path = read_inside(folder, GENERATOR)
    return StoredGenerator(path, partial(find_image_side, folder)) if path.is_file() else None


def find_image_side(folder: Path) -> str:
    """Return the identity of the image tower in a directory, up to rounding.

    Raises:
        CheckpointError: it can't be read.
        UnknownNameError: the space has no images.
    """
    config = read_config(folder)
    binding = select_modalities(config, [IMAGE]).modalities[IMAGE]
    path = read_inside(folder, _weights_of(binding.tower))
    return image_side(binding.settings, config.towers[binding.tower], read_weights(path))


def select_modalities(config: SpaceConfig, modalities: list[str]) -> SpaceConfig:
    """Return a config with some of its modalities and their towers.

    Raises:
        UnknownNameError: the config has no such modality.
    """
    for name in modalities:
        if name not in config.modalities:
            raise UnknownNameError(f"modality of {config.name}", name, config.modalities)
    return config.narrow(modalities)


def find_result(path: Path) -> Path:
    """Return the trained space in a training run's folder; any other path unchanged.

    A space is recovered first whose writer was killed while it replaced it.
    """
    result = path / RESULT
    for folder in (path, result):
        recover_folder(folder)
    is_run = not (path / CONFIG).exists() and (result / CONFIG).is_file()
    return result if is_run else path


@dataclass(frozen=True)
class _Digests:
    """The part of config.json that `SpaceConfig` doesn't have: file → SHA-256 in hexadecimal."""

    digests: dict[str, str]


def _check_config(given: SpaceConfig | dict[str, Any]) -> SpaceConfig:
    """Return a config whose values were checked, and that its names of files are plain ones.

    Raises:
        ConfigError: names the place of a wrong value.
    """
    plain = write_space_config(given) if isinstance(given, SpaceConfig) else given
    config = read_space_config(plain)
    listed = [(f"towers.{name[:40]}", _weights_of(name)) for name in config.towers]
    for name, binding in config.modalities.items():
        files = MODALITIES.get(name).files(binding.settings)
        listed += [(f"modalities.{name}.settings", file) for file in files]
    for place, file in listed:
        try:
            plain_name(file)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error
    return config


def build_tower(spec: TowerSpec) -> torch.nn.Module:
    """Build a network from its spec, with PyTorch's initial weights."""
    tower: torch.nn.Module = TOWERS.get(spec.kind)(spec.config)
    return tower


def _write(space: Space, folder: Path, dtype: torch.dtype | None) -> None:
    """Write all files; the config comes last, with their digests."""
    for name, tower in space.towers.items():
        state = {
            key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
            for key, value in tower.state_dict().items()
        }
        if state:  # a reference has none
            save_file(state, folder / _weights_of(name))
    for name, binding in space.config.modalities.items():
        for file in MODALITIES.get(name).files(binding.settings):
            _copy(space.folder, file, folder, name)
    if isinstance(space.generator, StoredGenerator):
        shutil.copyfile(space.generator.path, folder / GENERATOR)
    digests = compute_digests(folder, [path.name for path in folder.iterdir()])
    if space.folder is not None and (known := read_inside(space.folder, ATTRIBUTION)).is_file():
        shutil.copyfile(known, folder / ATTRIBUTION)  # licenses ask for it with any copy
    values = {"format": VERSION, **write_space_config(space.config), DIGESTS: digests}
    write_json(folder / CONFIG, values)
    write_json(folder / CARD, to_dict(space.card))
    readme = to_model_card(space.name, space.modalities, space.card)
    (folder / README).write_text(readme, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors creates files that only their owner may read


def _copy(source: Path | None, file: str, folder: Path, modality: str) -> None:
    """Copy a file that a modality's preprocessing needs."""
    if source is None:
        raise CheckpointError(file, f"the space has no folder with this file of {modality}")
    copied, target = read_inside(source, file), read_inside(folder, file)
    if file in (CONFIG, CARD, README, GENERATOR, ATTRIBUTION) or file.endswith(WEIGHTS):
        raise CheckpointError(copied, f"a file of {modality} can't have this name in a space")
    shutil.copyfile(copied, target)


def compute_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files of a folder, in hexadecimal; missing files have none."""
    present = sorted(name for name in names if (folder / name).is_file())
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return dict(
            zip(present, pool.map(lambda name: _digest(folder / name), present), strict=True)
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Write plain values as an indented file of JSON."""
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _weights_of(tower: str) -> str:
    return f"{tower}{WEIGHTS}"


def read_config(folder: Path) -> SpaceConfig:
    """Read the config of the space in a directory.

    Raises:
        CheckpointError: no config.json, of another version, or invalid.
    """
    return _read_config(folder)[0]


def _read_config(folder: Path) -> tuple[SpaceConfig, dict[str, str]]:
    """Return the config, and the digests of the other files; {} if the writer stored none."""
    values = read_json(folder / CONFIG)
    version, digests = values.pop("format", None), values.pop(DIGESTS, {})
    if version != VERSION:
        raise CheckpointError(
            folder / CONFIG,
            f"expected format {VERSION}, found {shorten(version)}; update openbind?",
        )
    try:
        config = _check_config(values)
        return config, from_dict(_Digests, {"digests": digests}).digests
    except (ConfigError, UnknownNameError) as error:
        raise CheckpointError(folder / CONFIG, str(error)) from error


def read_card(folder: Path) -> Card:
    """Read the card of the space in a directory; an empty one if there is none.

    Raises:
        CheckpointError: card.json is invalid.
    """
    if not (folder / CARD).is_file():
        return Card()
    try:
        return from_dict(Card, read_json(folder / CARD))
    except ConfigError as error:
        raise CheckpointError(folder / CARD, str(error)) from error


def _build_blank(folder: Path, name: str, spec: TowerSpec) -> torch.nn.Module:
    """Build a tower without memory for weights, of the shapes that its file's header states."""
    path = read_inside(folder, _weights_of(name))
    if not path.is_file():
        raise CheckpointError(path, "no such file, but config.json has this tower")
    found = SafetensorsFile(path).shapes()
    try:
        with blank_weights():
            tower = build_tower(spec)
            put_blank(tower, found)
    except _UNBUILDABLE as error:
        reason = f"towers.{name}: no network can be built from it ({first_line(error)})"
        raise CheckpointError(folder / CONFIG, reason) from error
    expected = {key: tuple(value.shape) for key, value in tower.state_dict().items()}
    if expected != found:
        raise CheckpointError(path, describe_difference(expected, found))
    return tower


def _check_digests(folder: Path, config: SpaceConfig, digests: dict[str, str]) -> None:
    """Compare the files that a space needs with the digests that were stored with it."""
    needed = {_weights_of(name) for name, spec in config.towers.items() if not is_reference(spec)}
    needed |= {
        file
        for name, binding in config.modalities.items()
        for file in MODALITIES.get(name).files(binding.settings)
    }
    for name in needed:
        read_inside(folder, name)
    if GENERATOR in digests:
        needed.add(GENERATOR)
        if not (folder / GENERATOR).is_file():
            raise CheckpointError(folder / GENERATOR, f"no such file, but {CONFIG} has its digest")
    stored = {name: digests[name] for name in needed & digests.keys()}
    for name, found in compute_digests(folder, stored).items():
        if found != stored[name]:
            raise CheckpointError(
                folder / name,
                f"damaged or changed: expected the sha256 {stored[name]}, found {found}. Get the "
                f"file again; if you changed it yourself, delete {DIGESTS!r} from {CONFIG}",
            )


def _sniff(listing: Listing) -> int:
    config = listing.config
    return 100 if "format" in config and "model_type" not in config else 0


def _weights(listing: Listing, modalities: Iterable[str] | None) -> list[list[str]]:
    if not _sniff(listing):
        return []
    config = read_config(listing.path)
    chosen = [m for m in config.modalities if modalities is None or m in modalities]
    towers = config.narrow(chosen).towers
    own = sorted(_weights_of(name) for name, spec in towers.items() if not is_reference(spec))
    return [own or [CONFIG]]


def _stated_dtype(listing: Listing) -> str | None:
    stated = listing.config.get("dtype")
    return stated if stated in DTYPES else None  # `load` refuses others


FORMAT = CheckpointFormat(
    name="openbind",
    sniff=_sniff,
    load=lambda listing, **options: load(listing.path, **options),
    weights=_weights,
    dtype=_stated_dtype,
)
