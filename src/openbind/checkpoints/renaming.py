"""Map tensors of other projects' files to our names: look up, concatenate, check shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from openbind.errors import CheckpointError, UnknownNameError
from openbind.model.config import TowerConfig
from openbind.model.tower import Tower

MAX_SCALE = 100.0
"""Upper limit of CLIP's logit scale, after the exponential (arXiv 2103.00020, section 2.5)."""


@dataclass(frozen=True)
class Origin:
    """Where one of our tensors is in a file.

    Args:
        names: names in the file; several tensors are concatenated along the first axis.
        transposed: the file has the transpose.
    """

    names: tuple[str, ...]
    transposed: bool = False


def take_tower(
    state: Mapping[str, Tensor],
    config: TowerConfig,
    origin: Callable[[str], Origin],
    source: str,
) -> dict[str, Tensor]:
    """Return the state dict of a tower; only its tensors are read.

    Leading axes of length 1 may be missing in the file.

    Args:
        state: the file's tensors.
        config: of the tower.
        origin: our name → where the tensor is in the file.
        source: name of the file in errors.

    Raises:
        CheckpointError: a tensor is missing, or its shape contradicts the config.
    """
    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in Tower(config).state_dict().items()}
    return {name: _take(state, origin(name), shape, source) for name, shape in expected.items()}


def check_rest(
    state: Iterable[str], origins: Iterable[Origin], ignored: Iterable[str], source: str
) -> None:
    """Check that a file has no tensors that the towers don't use.

    Raises:
        CheckpointError: it has, so it is of another architecture; names the first one.
    """
    known = {name for origin in origins for name in origin.names} | set(ignored)
    unknown = sorted(set(state) - known)
    if unknown:
        raise CheckpointError(
            source, f"{len(unknown)} tensors of another architecture, such as {unknown[0]}"
        )


def shape_of(state: Mapping[str, Tensor], name: str, axes: int, source: str) -> tuple[int, ...]:
    """Return the shape of a tensor with a given number of axes.

    Raises:
        CheckpointError: no such tensor, or another number of axes.
    """
    if name not in state:
        raise CheckpointError(source, f"{name}: missing")
    found = tuple(state[name].shape)
    if len(found) != axes:
        raise CheckpointError(source, f"{name}: expected {axes} axes, found {found}")
    return found


def check_heads(heads: Mapping[str, int], towers: Iterable[str], source: str) -> None:
    """Check a hint of attention heads per tower.

    Raises:
        UnknownNameError: no such tower.
        CheckpointError: not a positive integer.
    """
    known = tuple(towers)
    for tower, count in heads.items():
        if tower not in known:
            raise UnknownNameError("tower", tower, known)
        if not isinstance(count, int) or count < 1:
            raise CheckpointError(source, f"heads of {tower}: expected an integer, found {count!r}")


def tower_names(config: TowerConfig) -> list[str]:
    """Return our names of a tower's tensors."""
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
    """Drop leading axes of length 1."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
