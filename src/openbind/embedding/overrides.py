"""What files are, and how they are read, where their extension doesn't say: `depth(units=5000)`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from openbind.errors import InputError
from openbind.modalities import MODALITIES, modality_of_file
from openbind.modalities.spec import Modality
from openbind.space.decoding import Settings

NOTATION = re.compile(r"(?P<modality>\w+)(?:\((?P<settings>[^()]*)\))?")
"""A modality, with changed settings of its preprocessing in parentheses."""
EXPECTED = "expected MODALITY or MODALITY(SETTING=VALUE,…), as depth(units=5000)"


@dataclass(frozen=True, kw_only=True)
class TypeOverride:
    """What files are whose extension doesn't determine it: a PNG may be a depth map.

    Args:
        pattern: of paths below a folder, in shell syntax; `*` matches `/` too.
        modality: of the files that match.
        settings: of its preprocessing that differ from the space's, as {"units": 5000}.
    """

    pattern: str
    modality: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def notation(self) -> str:
        """The modality and settings as `parse_type` takes them."""
        changes = format_settings(as_settings(self.settings))
        return f"{self.modality}({changes})" if changes else self.modality


def parse_type(pattern: str, notation: str) -> TypeOverride:
    """Parse what the files of a pattern are: "depth", or "depth(units=5000)".

    Raises:
        InputError: another notation.
    """
    match = NOTATION.fullmatch(notation.strip())
    if match is None:
        raise InputError(notation, EXPECTED)
    settings = parse_settings(match["settings"] or "")
    return TypeOverride(pattern=pattern, modality=match["modality"], settings=settings)


def parse_settings(text: str) -> dict[str, Any]:
    """Parse "units=5000,size=224": numbers and true, false as in JSON, all else as text.

    Raises:
        InputError: not SETTING=VALUE.
    """
    found: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, part.partition("="))
        if not (name and equals and value):
            raise InputError(part, "expected SETTING=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def format_settings(settings: Settings) -> str:
    """Return settings as `parse_settings` takes them."""
    return ",".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in settings
    )


def as_settings(changes: Mapping[str, Any]) -> Settings:
    """Return changed settings in one order, so that equal ones are equal."""
    return tuple(sorted(changes.items()))


def read_as(
    name: str, among: Sequence[str], overrides: Iterable[TypeOverride] = ()
) -> tuple[str | None, Settings]:
    """Return a file's modality, by the first override that it matches or its extension.

    Args:
        name: path of the file below its folder, with `/`.
        among: modalities to choose from.
        overrides: tried before the extension.

    Returns:
        the modality, None if there is none; and its changed settings.
    """
    for override in overrides:
        if fnmatchcase(name, override.pattern):
            return override.modality, as_settings(override.settings)
    return modality_of_file(name, among), ()


def check_overrides(
    overrides: Iterable[TypeOverride], modalities: Sequence[str], space: str
) -> None:
    """Check that a space has the overrides' modalities, and these the settings.

    Args:
        overrides: to check.
        modalities: of the space.
        space: its name, for errors.

    Raises:
        InputError: the space lacks a modality.
        ConfigError: no such setting (the nearest is named), or a wrong value.
    """
    for override in overrides:
        if override.modality not in modalities:
            known = ", ".join(modalities)
            raise InputError(override.modality, f"not a modality of {space}; it has {known}")
        modality: Modality = MODALITIES.get(override.modality)
        modality.change(modality.settings(), override.settings)
