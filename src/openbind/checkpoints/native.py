"""openbind's own format: a directory of config.json, card.json, README.md and safetensors.

Each tower has its own safetensors file, so that one modality loads without the others.
config.json holds everything else that affects a vector; the directory includes the files that
preprocessing needs (a vocabulary).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from openbind.checkpoints.formats import CONFIG, CheckpointFormat, Listing
from openbind.checkpoints.repository import read_json
from openbind.checkpoints.tensors import move_tensor
from openbind.configs import from_dict, to_dict
from openbind.errors import CheckpointError, ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.model import TOWERS
from openbind.model.blank import blank_weights
from openbind.space.card import Card, to_model_card
from openbind.space.config import SpaceConfig, TowerSpec, read_space_config, write_space_config
from openbind.space.space import Space

VERSION = 1
CARD, README = "card.json", "README.md"
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
        CheckpointError: the directory holds something other than a space.
    """
    final = Path(directory)
    if final.exists() and any(final.iterdir()) and not (final / CONFIG).is_file():
        raise CheckpointError(final, "not empty and not a space; choose another directory")
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        _write(space, temporary, dtype)
        temporary.chmod(0o755)
        _replace_directory(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    config, card = read_config(folder), read_card(folder)
    if modalities is not None:
        config = select_modalities(config, list(modalities))
    precision = dtype or getattr(torch, config.dtype or "float32")
    towers = {
        name: _load_tower(folder / f"{name}.safetensors", spec, device, precision)
        for name, spec in config.towers.items()
    }
    return Space(config, towers, card, folder)


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
    """Return the trained space in a training run's folder; any other path unchanged."""
    result = path / RESULT
    is_run = not (path / CONFIG).exists() and (result / CONFIG).is_file()
    return result if is_run else path


def build_tower(spec: TowerSpec) -> torch.nn.Module:
    """Build a network from its spec, with PyTorch's initial weights."""
    tower: torch.nn.Module = TOWERS.get(spec.kind)(spec.config)
    return tower


def _write(space: Space, folder: Path, dtype: torch.dtype | None) -> None:
    values = {"format": VERSION, **write_space_config(space.config)}
    _write_json(folder / CONFIG, values)
    _write_json(folder / CARD, to_dict(space.card))
    readme = to_model_card(space.name, space.modalities, space.card)
    (folder / README).write_text(readme, encoding="utf-8")
    for name, tower in space.towers.items():
        state = {
            key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
            for key, value in tower.state_dict().items()
        }
        save_file(state, folder / f"{name}.safetensors")
    for name, binding in space.config.modalities.items():
        for file in MODALITIES.get(name).files(binding.settings):
            if space.folder is None:
                raise CheckpointError(file, f"the space has no folder with this file of {name}")
            shutil.copyfile(space.folder / file, folder / file)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors creates files that only their owner may read
        with path.open("rb+") as written:
            os.fsync(written.fileno())


def _replace_directory(new: Path, final: Path) -> None:
    """Rename `new` to `final`; an old `final` is kept beside it until then."""
    if not final.exists():
        new.rename(final)
        return
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    final.rename(old)
    new.rename(final)
    shutil.rmtree(old)


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_config(folder: Path) -> SpaceConfig:
    """Read the config of the space in a directory.

    Raises:
        CheckpointError: no config.json, of another version, or invalid.
    """
    values = read_json(folder / CONFIG)
    version = values.pop("format", None)
    if version != VERSION:
        raise CheckpointError(
            folder / CONFIG, f"expected format {VERSION}, found {version}; update openbind?"
        )
    try:
        return read_space_config(values)
    except ConfigError as error:
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


def _load_tower(
    path: Path, spec: TowerSpec, device: str | torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    """Build a tower without initial weights and load the file's into it."""
    if not path.is_file():
        raise CheckpointError(path, "no such file, but config.json has this tower")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(path, f"truncated or not a safetensors file: {error}") from error
    with blank_weights():
        tower = build_tower(spec)
    blank = tower.state_dict()
    expected = {key: tuple(value.shape) for key, value in blank.items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if expected != found:
        raise CheckpointError(path, _difference(expected, found))
    placed = {key: move_tensor(value, device, dtype) for key, value in state.items()}
    for key, value in placed.items():
        # Convolutions are faster with channels-last weights, where a tower uses them.
        if value.ndim == 4 and blank[key].is_contiguous(memory_format=torch.channels_last):
            placed[key] = value.contiguous(memory_format=torch.channels_last)
    tower.load_state_dict(placed, assign=True)
    return tower.eval().requires_grad_(False)


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [key for key in sorted(expected.keys() & found.keys()) if expected[key] != found[key]]
    parts = [f"the file doesn't match config.json ({len(expected)} tensors expected)"]
    if missing:
        parts.append(f"{len(missing)} missing, such as {missing[0]}")
    if extra:
        parts.append(f"{len(extra)} unknown, such as {extra[0]}")
    if wrong:
        key = wrong[0]
        parts.append(
            f"{len(wrong)} with a different shape, such as {key}: expected {expected[key]}, "
            f"found {found[key]}"
        )
    return "; ".join(parts)


def _sniff(listing: Listing) -> int:
    config = listing.config
    return 100 if "format" in config and "model_type" not in config else 0


def _weights(listing: Listing, modalities: Iterable[str] | None) -> list[list[str]]:
    bindings = listing.config.get("modalities", {})
    chosen = bindings if modalities is None else [m for m in modalities if m in bindings]
    return [sorted({f"{bindings[name]['tower']}.safetensors" for name in chosen})]


def _stated_dtype(listing: Listing) -> str | None:
    stated: str | None = listing.config.get("dtype")
    return stated


FORMAT = CheckpointFormat(
    name="openbind",
    sniff=_sniff,
    load=lambda listing, **options: load(listing.path, **options),
    weights=_weights,
    dtype=_stated_dtype,
)
