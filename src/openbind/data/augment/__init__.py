"""Augmentations: operations on one side of a pair only, unlike views, which both sides share.

The paper's (section 4, Table 9). Crops, flips and temporal jitter are views, because both sides
must show the same part: see `data/views.py`.
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
    """Build the operations that a recipe lists.

    Args:
        entries: names, for default settings, or {name: {field: value}}.

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
        raise ConfigError(f"expected an operation's name, or {{name: fields}}; found {entry!r}")
    [(name, fields)] = entry.items()
    # YAML reads "- erase:" without fields as None.
    operation: Operation = from_dict(AUGMENTATIONS.get(str(name)), fields or {}, str(name))
    return operation


def apply_all(
    operations: Iterable[Operation], stage: Stage, x: Any, rng: np.random.Generator
) -> Any:
    """Apply the operations of one stage, in order.

    Args:
        operations: of both stages.
        stage: "item" before preprocessing, "tensor" after it.
        x: a view of an item, or one of its clips; not modified.
        rng: source of all random choices.

    Raises:
        ConfigError: an operation doesn't support the input.
    """
    for operation in operations:
        if operation.stage == stage:
            x = operation(x, rng)
    return x
