"""Augmentations: operations on one side of a pair alone, unlike a view, which both sides share.

The paper's (section 4, Table 9); crops, mirroring and the moment of an excerpt (its "temporal
jitter") aren't among them, since both sides have to show the same: see `data/views.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from openbind.configs import from_dict
from openbind.data.augment.operation import Operation, Stage
from openbind.errors import ConfigError
from openbind.registry import Registry

AUGMENTATIONS = Registry(
    "augmentation",
    "openbind.augmentations",
    {
        "color_jitter": "openbind.data.augment.pixels:ColorJitter",
        "rand_augment": "openbind.data.augment.pixels:RandAugment",
        "erase": "openbind.data.augment.grids:Erase",
        "frequency_mask": "openbind.data.augment.grids:FrequencyMask",
        "time_mask": "openbind.data.augment.grids:TimeMask",
        "axis_noise": "openbind.data.augment.series:AxisNoise",
        "axis_rotation": "openbind.data.augment.series:AxisRotation",
    },
)


def read_augmentations(entries: Iterable[Any]) -> tuple[Operation, ...]:
    """Make operations of what a recipe lists.

    Args:
        entries: names, for an operation as it is by default, or {name: {field: value}}.

    Raises:
        UnknownNameError: no such operation; the nearest is named.
        ConfigError: an unknown field (the nearest is named), a missing one, a wrong value, or an
            entry of another form.
    """
    return tuple(_read(entry) for entry in entries)


def _read(entry: Any) -> Operation:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ConfigError(f"expected the name of an operation, or name: fields; found {entry!r}")
    [(name, fields)] = entry.items()
    # "- erase:" without anything behind it is None in YAML.
    operation: Operation = from_dict(AUGMENTATIONS.get(str(name)), fields or {}, str(name))
    return operation


def apply_all(
    operations: Iterable[Operation], stage: Stage, x: Any, rng: np.random.Generator
) -> Any:
    """Apply those operations that work at a stage, in their order.

    Args:
        operations: of both stages.
        stage: "item" before preprocessing, "tensor" after it.
        x: what is shown of an item, or one of its clips; it isn't changed.
        rng: all random choices come from it.

    Raises:
        ConfigError: an operation doesn't fit what it is given.
    """
    for operation in operations:
        if operation.stage == stage:
            x = operation(x, rng)
    return x
