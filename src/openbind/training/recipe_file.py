"""Recipes as YAML files, in which every mistake is reported by its key."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openbind.configs import from_dict, to_dict
from openbind.data.augment import read_augmentations
from openbind.data.pairs import Rows
from openbind.data.sources import PairSource
from openbind.errors import ConfigError, MissingExtraError, describe, first_line
from openbind.modalities import MODALITIES
from openbind.training.losses import LOSSES
from openbind.training.recipe import Recipe

MAX_CHARACTERS, MAX_VALUES = 200_000, 10_000
"""Of a recipe's text, and of the values in it."""


def read_recipe(path: str | os.PathLike[str], changes: Mapping[str, str] | None = None) -> Recipe:
    """Read and validate a recipe.

    The recipe's own modules run once everything is validated that doesn't depend on them.

    Args:
        path: of a YAML file.
        changes: key such as "schedule.steps" → a value in YAML that replaces the file's.

    Raises:
        ConfigError: not YAML, an unknown key (the nearest is named), a missing key, a wrong
            value, or settings that don't fit each other; the message starts with the path.
        UnknownNameError: no such modality, operation or loss.
        MissingExtraError: PyYAML isn't installed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read as a recipe ({first_line(error)})") from error
    try:
        values = parse_yaml(text)
        for key, value in (changes or {}).items():
            _put(values, key, parse_yaml(value))
        if isinstance(values, dict) and values.get("modules") is not None:
            for name in _validate_without_sources(values).modules:
                _load_module((path.parent / name).resolve())
        recipe = from_dict(Recipe, values)
        check_names(recipe)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return recipe


def write_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML; `read_recipe` reads it back equal."""
    import yaml

    return str(yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True))


def parse_yaml(text: str) -> Any:
    """Parse YAML into plain values; `1e-3` is a number, as in YAML 1.2.

    Raises:
        ConfigError: not YAML, a key is repeated, or too large, also by aliases, or too deep.
        MissingExtraError: PyYAML isn't installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading recipes", "yaml", "train") from error

    if len(text) > MAX_CHARACTERS:
        reason = f"expected at most {MAX_CHARACTERS:,} characters, found {len(text):,}"
        raise ConfigError(reason)
    try:
        loader = _strict_loader()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_nodes(node, {})
        return loader.construct_document(node)
    except (RecursionError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"not readable as YAML: {describe(error, 500)}") from error


def _count_nodes(node: Any, known: dict[int, int]) -> int:
    """Return the number of values below a node, each alias counted as what it stands for.

    Raises:
        ConfigError: too many, or a value that contains itself.
    """
    if id(node) in known:
        if known[id(node)] == 0:
            raise ConfigError(f"line {node.start_mark.line + 1}: a value contains itself")
        return known[id(node)]
    known[id(node)] = 0
    children = node.value if isinstance(node.value, list) else []
    parts = [
        part for child in children for part in (child if isinstance(child, tuple) else [child])
    ]
    count = 1 + sum(_count_nodes(part, known) for part in parts)
    if count > MAX_VALUES:
        raise ConfigError(f"expected at most {MAX_VALUES:,} values, aliases included")
    known[id(node)] = count
    return count


def check_names(recipe: Recipe) -> None:
    """Look up all losses, modalities and operations.

    Raises:
        UnknownNameError: no such loss, modality or operation.
        ConfigError: an operation's fields are wrong, or it can't be used on the frozen side.
    """
    for modality in (name for probe in recipe.logging.emergence for name in probe.pair):
        MODALITIES.get(modality)
    for plan in recipe.pairs:
        LOSSES.get(plan.loss)
        for modality in (*plan.pair, *plan.frozen()):
            MODALITIES.get(modality)
        for modality, operations in plan.augment.items():
            late = [op for op in read_augmentations(operations) if op.stage != "item"]
            if modality == plan.pair[0] and late:
                raise ConfigError(
                    f"{plan.name}: augment.{modality}: {type(late[0]).__name__} works on tensors, "
                    "but the frozen side is cached as embeddings; use operations on items"
                )


def _strict_loader() -> Any:
    """Return PyYAML's safe loader, refusing repeated keys and reading `1e-3` as a number."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[str] = set()
        for key in map(repr, keys):
            if key in seen:
                line = node.start_mark.line + 1
                raise ConfigError(f"{describe(key)} is repeated in the mapping at line {line}")
            seen.add(key)
        return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    exponents = re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponents, list("-+0123456789"))
    return Loader


class _NoSource(PairSource):
    """Stands in for a source that a recipe's module may register; it has no rows."""

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """Return no rows."""
        return Rows(())


def _validate_without_sources(values: dict[str, Any]) -> Recipe:
    """Read a recipe with stand-ins for its sources, which its modules may register."""
    logging = values.get("logging")
    if isinstance(logging, dict):
        logging = {**logging, "emergence": _all_without_sources(logging.get("emergence", []))}
    replaced = {"pairs": _all_without_sources(values.get("pairs"))}
    return from_dict(Recipe, {**values, **replaced} | ({"logging": logging} if logging else {}))


def _all_without_sources(plans: Any) -> Any:
    """Replace the sources in a list of mappings; anything else is refused later."""
    if isinstance(plans, list) and all(isinstance(plan, dict) for plan in plans):
        return [_without_sources(plan) for plan in plans]
    return plans


def _without_sources(pair: dict[str, Any]) -> dict[str, Any]:
    """Replace the sources in a pair's values by stand-ins."""
    found = dict(pair)
    for key in ("data", "extra_negatives", "classes"):
        if found.get(key) is not None:
            found[key] = _NoSource()
    if isinstance(found.get("keep"), dict):
        found["keep"] = _without_sources(found["keep"])
    return found


def _load_module(path: Path) -> None:
    """Import a recipe's own Python file, once, under a name that no other module has."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"modules: no file {path}") from error
    digest = hashlib.sha256(str(path).encode() + content).hexdigest()
    name = f"openbind_recipe_{digest[:16]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"modules: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _put(values: Any, key: str, value: Any) -> None:
    """Set `a.b.0.c`, or `a.b[0].c`, in nested mappings and lists; missing mappings are created."""
    *path, last = re.sub(r"\[(\d+)\]", r".\1", key).split(".")
    for part in path:
        if isinstance(values, list):
            values = values[_index(values, part, key)]
        elif isinstance(values, dict):
            values = values.setdefault(part, {})
        else:
            raise ConfigError(f"{key}: {part!r} is not in a mapping")
    if isinstance(values, list):
        values[_index(values, last, key)] = value
    elif isinstance(values, dict):
        values[last] = value
    else:
        raise ConfigError(f"{key}: {last!r} is not in a mapping")


def _index(values: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(values):
        raise ConfigError(f"{key}: expected an index below {len(values)}, found {part!r}")
    return int(part)
