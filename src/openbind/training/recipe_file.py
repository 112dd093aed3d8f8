"""Recipes as files: YAML → `Recipe`, every mistake named by its place."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openbind.configs import from_dict, to_dict
from openbind.data.augment import read_augmentations
from openbind.errors import ConfigError, MissingExtraError
from openbind.modalities import MODALITIES
from openbind.training.losses import LOSSES
from openbind.training.recipe import Recipe


def read_recipe(path: str | os.PathLike[str], changes: Mapping[str, str] | None = None) -> Recipe:
    """Read and validate a recipe.

    Args:
        path: of a YAML file.
        changes: "schedule.steps" → a value in YAML, put in the place of the file's.

    Raises:
        ConfigError: not YAML, an unknown key (the nearest is named), a missing key, a wrong
            value, or parts that don't fit each other; the message starts with the path.
        UnknownNameError: no such modality or operation.
        MissingExtraError: PyYAML isn't there.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: can't be read as a recipe ({error})") from error
    try:
        values = parse_yaml(text)
        for dotted, value in (changes or {}).items():
            _put(values, dotted, parse_yaml(value))
        _load_modules(place.parent, values)
        recipe = from_dict(Recipe, values)
        check_names(recipe)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    return recipe


def write_recipe(recipe: Recipe) -> str:
    """Write a recipe as YAML that `read_recipe` reads back equal."""
    import yaml

    return str(yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True))


def parse_yaml(text: str) -> Any:
    """Read YAML into plain values; `1e-3` is a number, as in YAML 1.2.

    Raises:
        ConfigError: not YAML, or a key given twice.
        MissingExtraError: PyYAML isn't there.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading recipes", "yaml", "train") from error

    try:
        return yaml.load(text, Loader=_strict_loader())
    except yaml.YAMLError as error:
        raise ConfigError(f"not readable as YAML: {error}") from error


def check_names(recipe: Recipe) -> None:
    """Look every loss, modality and operation up, so that a wrong name is said at once.

    Raises:
        UnknownNameError: no such modality or operation.
        ConfigError: an operation's fields are wrong, or it doesn't fit the frozen side.
    """
    for plan in recipe.pairs:
        LOSSES.get(plan.loss)
        for modality in plan.pair:
            MODALITIES.get(modality)
        for modality, operations in plan.augment.items():
            late = [op for op in read_augmentations(operations) if op.stage != "item"]
            if modality == plan.pair[0] and late:
                raise ConfigError(
                    f"{plan.name}: augment.{modality}: {type(late[0]).__name__} works on tensors, "
                    "but the frozen side is kept as embeddings; only operations on items fit"
                )


def _strict_loader() -> Any:
    """PyYAML's safe loader, which takes neither a key twice nor `1e-3` for a text."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise ConfigError(f"{key!r} is given twice in the mapping at line {line}")
        return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    exponents = re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponents, list("-+0123456789"))
    return Loader


def _load_modules(folder: Path, values: Any) -> None:
    """Import a recipe's own Python files, each once, so that what they add is known."""
    names = values.get("modules") if isinstance(values, dict) else None
    if names is None:
        return
    if not isinstance(names, list | tuple):
        raise ConfigError(f"modules: expected a list of files, found {names!r}")
    for name in names:
        path = (folder / str(name)).resolve()
        if not path.is_file():
            raise ConfigError(f"modules: no file {path}")
        if getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"modules: {path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        # Dataclasses and worker processes look their module up by its name.
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)


def _put(values: Any, dotted: str, value: Any) -> None:
    """Set `a.b.0.c` in nested mappings and lists; missing mappings are made."""
    *path, last = dotted.split(".")
    for part in path:
        if isinstance(values, list):
            values = values[_index(values, part, dotted)]
        elif isinstance(values, dict):
            values = values.setdefault(part, {})
        else:
            raise ConfigError(f"{dotted}: {part!r} is not in a mapping")
    if isinstance(values, list):
        values[_index(values, last, dotted)] = value
    elif isinstance(values, dict):
        values[last] = value
    else:
        raise ConfigError(f"{dotted}: {last!r} is not in a mapping")


def _index(values: list[Any], part: str, dotted: str) -> int:
    if not part.isdigit() or int(part) >= len(values):
        raise ConfigError(f"{dotted}: expected a number below {len(values)}, found {part!r}")
    return int(part)
