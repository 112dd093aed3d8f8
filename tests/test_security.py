"""docs/security.md says what the code enforces. Run this file to write its table of limits."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openbind import names
from openbind.checkpoints import repository
from openbind.configs import Range
from openbind.data.sources import shards
from openbind.modalities import MODALITIES
from openbind.model.config import PatchStem, TokenStem, TrunkConfig, WindowStem
from openbind.search import filters
from openbind.serving.limits import Limits
from openbind.training import recipe_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"
BLOCK = re.compile(r"(?<=<!-- limits -->\n).*?(?=<!-- end -->)", re.DOTALL)


def ranges_of(kind: type) -> Iterator[tuple[str, Range]]:
    """Yield the fields of a dataclass that have a range, nested ones with their path."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        options = typing.get_args(hint) if hasattr(hint, "__args__") else ()
        for option in (hint, *options):
            for part in getattr(option, "__metadata__", ()):
                if isinstance(part, Range):
                    yield name, part
            if dataclasses.is_dataclass(option) and isinstance(option, type):
                yield from ((f"{name}.{inner}", found) for inner, found in ranges_of(option))


def rows() -> Iterator[tuple[str, str]]:
    """Yield what is limited, and the limit."""
    service = Limits()
    for field in dataclasses.fields(Limits):
        value = getattr(service, field.name)
        if isinstance(value, int | float):
            yield f"request: `{field.name}`", f"{value:,.12g}"
    yield "filter: characters of its text, and of a string", f"{filters.MAX_CHARACTERS:,}"
    yield "filter: levels", f"{filters.MAX_DEPTH}"
    yield "filter: columns and values", f"{filters.MAX_TERMS}"
    yield "a name in a file: bytes", f"{names.MAX_BYTES}"
    yield "JSON of a checkpoint: bytes", f"{repository.MAX_BYTES:,}"
    yield "recipe: characters", f"{recipe_file.MAX_CHARACTERS:,}"
    yield "recipe: values, aliases included", f"{recipe_file.MAX_VALUES:,}"
    yield "shards of a pattern", f"{shards.MAX_SHARDS:,}"
    kinds: list[tuple[str, Any]] = [(k.__name__, k) for k in (PatchStem, TokenStem, WindowStem)]
    kinds += [("TrunkConfig", TrunkConfig)]
    kinds += [(f"settings of {name}", MODALITIES.get(name).settings) for name in MODALITIES.names()]
    for title, kind in kinds:
        for field_name, found in dict(ranges_of(kind)).items():
            yield f"{title}: `{field_name}`", f"{found.low:,.12g} to {found.high:,.12g}"


def table() -> str:
    """Return the table of docs/security.md."""
    lines = [f"| {what} | {limit} |" for what, limit in rows()]
    return "\n".join(["| what | limit |", "|---|---|", *lines, ""])


def test_the_table_is_the_codes() -> None:
    """Each limit is as the code has it."""
    found = BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert found
    assert found[0] == table(), "python tests/test_security.py"


def test_readers_are_files() -> None:
    """Each file that the page names is there, and each user of `openbind.names` is named."""
    text = PAGE.read_text(encoding="utf-8")
    source = ROOT / "src" / "openbind"
    for name in re.findall(r"`([a-z_/]+/[a-z_]+\.py)`", text):
        assert (source / name).is_file() or (ROOT / name).is_file(), name
    for path in source.rglob("*.py"):
        if "from openbind.names import" in path.read_text() and path.name != "repository.py":
            assert f"`{path.relative_to(source)}`" in text, path


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), "utf-8")
    sys.exit(0)
