"""openbind's own format: a directory of config.json, card.json, README.md and safetensors.

One safetensors file a tower, so that a modality can be read without the others. Everything that
decides a number is in config.json; files that preprocessing needs (a vocabulary) travel along.
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

from openbind.checkpoints.tensors import place
from openbind.configs import from_dict, to_dict
from openbind.errors import CheckpointError, ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.model import TOWERS
from openbind.model.blank import blank_weights
from openbind.space.card import Card, to_markdown
from openbind.space.config import SpaceConfig, TowerSpec, read_space_config, write_space_config
from openbind.space.space import Space

FORMAT = 1
CONFIG, CARD, README = "config.json", "card.json", "README.md"
RESULT = "space"
"""Folder of a training run that holds the space that came out of it."""


def save(
    space: Space, directory: str | os.PathLike[str], *, dtype: torch.dtype | None = None
) -> None:
    """Write a space to a directory; `openbind.load` reads it back bit-equal.

    Args:
        space: what to write.
        directory: where to; made if missing. An older space there is replaced as a whole.
        dtype: store the weights in this type; None keeps theirs.

    Raises:
        CheckpointError: the directory holds something that isn't a space.
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
    """Read a space from a directory.

    Args:
        directory: what `save` wrote.
        modalities: read only what these need; None reads all.
        device: where the towers are put.
        dtype: precision to compute in; None takes the config's, or float32.

    Raises:
        CheckpointError: a file is missing, truncated, or doesn't fit the config.
        UnknownNameError: a modality that the space doesn't have.
    """
    folder = Path(directory)
    config, card = read_config(folder), _read_card(folder)
    if modalities is not None:
        wanted = list(modalities)
        for name in wanted:
            if name not in config.modalities:
                raise UnknownNameError(f"modality of {config.name}", name, config.modalities)
        config = config.narrow(wanted)
    precision = dtype or getattr(torch, config.dtype or "float32")
    towers = {
        name: _load_tower(folder / f"{name}.safetensors", spec, device, precision)
        for name, spec in config.towers.items()
    }
    return Space(config, towers, card, folder)


def find_result(path: Path) -> Path:
    """Return the space in the folder of a training run; any other path as it is."""
    result = path / RESULT
    is_run = not (path / CONFIG).exists() and (result / CONFIG).is_file()
    return result if is_run else path


def build_tower(spec: TowerSpec) -> torch.nn.Module:
    """Make a network from its spec, with PyTorch's initial weights."""
    tower: torch.nn.Module = TOWERS.get(spec.kind)(spec.config)
    return tower


def _write(space: Space, folder: Path, dtype: torch.dtype | None) -> None:
    values = {"format": FORMAT, **write_space_config(space.config)}
    _write_json(folder / CONFIG, values)
    _write_json(folder / CARD, to_dict(space.card))
    (folder / README).write_text(to_markdown(space.name, space.card), encoding="utf-8")
    for name, tower in space.towers.items():
        state = {
            key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
            for key, value in tower.state_dict().items()
        }
        save_file(state, folder / f"{name}.safetensors")
    for name, binding in space.config.modalities.items():
        for file in MODALITIES.get(name).files(binding.settings):
            if space.folder is None:
                raise CheckpointError(file, f"{name} needs this file, but the space has no folder")
            shutil.copyfile(space.folder / file, folder / file)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes files that only their owner may read
        with path.open("rb+") as written:
            os.fsync(written.fileno())


def _replace_directory(new: Path, final: Path) -> None:
    """Put `new` in the place of `final`; the old one stays beside it until the new one is there."""
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


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(path, "no such file; a space is a directory with config.json in it")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(path, f"not readable as JSON: {error}") from error


def read_config(folder: Path) -> SpaceConfig:
    """Read what the space in a directory is made of.

    Raises:
        CheckpointError: no config.json, of another format, or with something wrong in it.
    """
    values = _read_json(folder / CONFIG)
    version = values.pop("format", None) if isinstance(values, dict) else None
    if version != FORMAT:
        raise CheckpointError(
            folder / CONFIG, f"expected format {FORMAT}, found {version}; update openbind?"
        )
    try:
        return read_space_config(values)
    except ConfigError as error:
        raise CheckpointError(folder / CONFIG, str(error)) from error


def _read_card(folder: Path) -> Card:
    if not (folder / CARD).is_file():
        return Card()
    try:
        return from_dict(Card, _read_json(folder / CARD))
    except ConfigError as error:
        raise CheckpointError(folder / CARD, str(error)) from error


def _load_tower(
    path: Path, spec: TowerSpec, device: str | torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    """Build a tower without memory for initial weights and give it those of the file."""
    if not path.is_file():
        raise CheckpointError(path, "no such file, though config.json names its tower")
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
    placed = {key: place(value, device, dtype) for key, value in state.items()}
    for key, value in placed.items():
        # Convolutions are quicker where a tower keeps their weights channels last.
        if value.ndim == 4 and blank[key].is_contiguous(memory_format=torch.channels_last):
            placed[key] = value.contiguous(memory_format=torch.channels_last)
    tower.load_state_dict(placed, assign=True)
    return tower.eval().requires_grad_(False)


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [key for key in sorted(expected.keys() & found.keys()) if expected[key] != found[key]]
    parts = [f"the file doesn't fit config.json ({len(expected)} tensors expected)"]
    if missing:
        parts.append(f"{len(missing)} missing, such as {missing[0]}")
    if extra:
        parts.append(f"{len(extra)} unknown, such as {extra[0]}")
    if wrong:
        key = wrong[0]
        parts.append(
            f"{len(wrong)} of another shape, such as {key}: expected {expected[key]}, "
            f"found {found[key]}"
        )
    return "; ".join(parts)
