"""Tensors of other projects' files under our names: looked up, joined, checked against a config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from openbind.errors import CheckpointError
from openbind.model.config import TowerConfig
from openbind.model.tower import Tower

MAX_SCALE = 100.0
"""Where CLIP clips its logit scale, after the exponential (arXiv 2103.00020, section 2.5)."""


@dataclass(frozen=True)
class Origin:
    """Where one of our tensors comes from.

    Args:
        names: names in the file; the tensors of several are joined row by row.
        transposed: the file holds its transpose.
    """

    names: tuple[str, ...]
    transposed: bool = False


def take_tower(
    state: Mapping[str, Tensor],
    config: TowerConfig,
    origin: Callable[[str], Origin],
    source: str,
) -> dict[str, Tensor]:
    """Collect the state dict of a tower; nothing else of the file is read.

    Axes of length 1 in front may be missing in the file.

    Args:
        state: the file's tensors.
        config: of the tower.
        origin: one of our names → where its tensor is.
        source: what errors call the file.

    Raises:
        CheckpointError: a tensor is missing or of another shape than the config implies.
    """
    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in Tower(config).state_dict().items()}
    return {name: _take(state, origin(name), shape, source) for name, shape in expected.items()}


def check_rest(
    state: Iterable[str], origins: Iterable[Origin], ignored: Iterable[str], source: str
) -> None:
    """Refuse a file with tensors that the towers don't use: it is of another architecture.

    Raises:
        CheckpointError: names the first of them.
    """
    known = {name for origin in origins for name in origin.names} | set(ignored)
    unknown = sorted(set(state) - known)
    if unknown:
        raise CheckpointError(
            source, f"{len(unknown)} tensors of another architecture, such as {unknown[0]}"
        )


def shape_of(state: Mapping[str, Tensor], name: str, axes: int, source: str) -> tuple[int, ...]:
    """Look up the shape of a tensor.

    Raises:
        CheckpointError: there is no such tensor, or it has another number of axes.
    """
    if name not in state:
        raise CheckpointError(source, f"{name}: missing")
    found = tuple(state[name].shape)
    if len(found) != axes:
        raise CheckpointError(source, f"{name}: expected {axes} axes, found {found}")
    return found


def tower_names(config: TowerConfig) -> list[str]:
    """Our names of a tower's tensors."""
    with torch.device("meta"):
        return list(Tower(config).state_dict())


def _take(
    state: Mapping[str, Tensor], origin: Origin, expected: tuple[int, ...], source: str
) -> Tensor:
    for name in origin.names:
        if name not in state:
            raise CheckpointError(source, f"{name}: missing, expected for {expected}")
    parts = [state[name] for name in origin.names]
    if origin.transposed:
        parts = [part.t() if part.ndim == 2 else part for part in parts]
    joined = parts[0] if len(parts) == 1 else _join(parts, origin, source)
    if _without_ones(tuple(joined.shape)) != _without_ones(expected):
        raise CheckpointError(
            source,
            f"{' + '.join(origin.names)}: expected {expected}, found {tuple(joined.shape)}",
        )
    return joined.reshape(expected).contiguous()


def _join(parts: list[Tensor], origin: Origin, source: str) -> Tensor:
    if len({tuple(part.shape) for part in parts}) != 1:
        shapes = [tuple(part.shape) for part in parts]
        raise CheckpointError(source, f"{' + '.join(origin.names)}: different shapes {shapes}")
    return torch.cat(parts)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop axes of length 1 in front."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
